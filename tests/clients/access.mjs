// Sends requests with the AWS SDK for JavaScript in the current directory's node_modules, and prints what comes of each.
// Standard input is a JSON list of {flavour, config, operation, input, times}: a client of its own for each, made with
// that config, sends the operation so many times. Printed is a JSON list of {code, message, status, modelled, attempts}
// for the last of them: no code is a success, and modelled tells whether the error is of a class that its SDK exports.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const chime = require("@aws-sdk/client-chime");
const voice = require("@aws-sdk/client-chime-sdk-voice");

const SDKS = { chime: [chime, chime.ChimeClient], "chime-sdk-voice": [voice, voice.ChimeSDKVoiceClient] };

const send = async ({ flavour = "chime", config = {}, operation, input = {}, times = 1 }) => {
  const [sdk, Client] = SDKS[flavour];
  const client = new Client(config);
  let attempts = 0;
  try {
    for (let time = 0; time < times; time++) {
      const { $metadata } = await client.send(new sdk[`${operation}Command`](input));
      attempts += $metadata.attempts;
    }
    return { code: null, message: "", status: 200, modelled: false, attempts };
  } catch (error) {
    const { name, message, $metadata = {} } = error;
    const modelled = name in sdk && error instanceof sdk[name];
    return { code: name, message, status: $metadata.httpStatusCode, modelled, attempts: attempts + $metadata.attempts };
  } finally {
    client.destroy();
  }
};

const answers = [];
for (const request of JSON.parse(readFileSync(0, "utf8"))) {
  answers.push(await send(request));
}
console.log(JSON.stringify(answers));
