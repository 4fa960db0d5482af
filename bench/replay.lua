-- Has wrk replay the requests on its standard input, which NUL separates, in order and over and over.
-- The last line that it prints is JSON: what run.py wants to know.

local requests = {}
local thread

-- wrk asks for one request that it does not send, to see how many one string holds.
sent = -1

function setup(the_only_one)
   thread = the_only_one
end

function init()
   for request in io.read("*a"):gmatch("%Z+") do
      requests[#requests + 1] = request
   end
end

function request()
   sent = sent + 1
   return requests[math.max(sent - 1, 0) % #requests + 1]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"answered":%d,"sent":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"refused":%d,"broken":%d}\n',
      summary.requests, thread:get("sent"), summary.duration / 1e6,
      latency:percentile(50) / 1000, latency:percentile(99) / 1000,
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
