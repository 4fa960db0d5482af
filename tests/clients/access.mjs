// Sends requests with the AWS SDK for JavaScript in the current directory's node_modules, and prints what comes of each.
// Standard input is a JSON list of {flavour, config, operation, input, times, clock}: a client of its own for each, made
// with that config, on a machine whose clock is that many seconds ahead, sends the operation so many times.
// Printed is a JSON list of {code, message, status, modelled, attempts}: of the first that fails, or else of the last.
// A success has no code; modelled tells whether the error is of a class that its SDK exports; attempts are all of them.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const chime = require("@aws-sdk/client-chime");
const voice = require("@aws-sdk/client-chime-sdk-voice");

const SDKS = { chime: [chime, chime.ChimeClient], "chime-sdk-voice": [voice, voice.ChimeSDKVoiceClient] };
const now = Date.now;

const send = async ({ flavour, config = {}, operation, input = {}, times = 1, clock = 0 }) => {
  const [sdk, Client] = SDKS[flavour];
  Date.now = () => now() + clock * 1000;
  const client = new Client(config);
  let attempts = 0;
  try {
    for (let time = 0; time < times; time++) {
      const { $metadata } = await client.send(new sdk[`${operation}Command`](input));
      attempts += $metadata.attempts;
    }
    return { code: null, message: "", status: 200, modelled: false, attempts };
  } catch (error) {
    const { name, message, $metadata: { httpStatusCode, attempts: last } = {} } = error;
    const modelled = name in sdk && error instanceof sdk[name];
    return { code: name, message, status: httpStatusCode, modelled, attempts: attempts + last };
  } finally {
    client.destroy();
  }
};

const answers = [];
for (const request of JSON.parse(readFileSync(0, "utf8"))) {
  answers.push(await send(request));
}
console.log(JSON.stringify(answers));
