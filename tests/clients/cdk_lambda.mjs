// Calls a bundled AWS Lambda function as Lambda does: node cdk_lambda.mjs BUNDLE < event. Its answer is printed as
// JSON; what it logs goes to standard error.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [bundle] = process.argv.slice(2);
const { handler } = createRequire(import.meta.url)(bundle);
console.log = console.info = console.error;
const response = await handler(JSON.parse(readFileSync(0, "utf8")), {
  functionName: "pstn-resources",
  logGroupName: "/aws/lambda/pstn-resources",
});
process.stdout.write(JSON.stringify(response));
