// The way of estate.py, with the AWS SDK for JavaScript in the current directory's node_modules.
// Endpoints, region and key come from the environment; what was called is printed as JSON.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(`${process.cwd()}/`);
const chime = require("@aws-sdk/client-chime");
const voice = require("@aws-sdk/client-chime-sdk-voice");

const called = new Set();

// What each client's `Operation(input)` sends: its SDK's OperationCommand.
const speaker = (sdk, client) =>
  new Proxy({}, {
    get: (_, operation) => (input = {}) => {
      called.add(operation);
      return client.send(new sdk[`${operation}Command`](input));
    },
  });

const [flavour] = process.argv.slice(2);
const estate = speaker(voice, new voice.ChimeSDKVoiceClient());
const numbers = flavour === "chime" ? speaker(chime, new chime.ChimeClient()) : estate;
const numbersSdk = flavour === "chime" ? chime : voice;

const DIAL_IN = "SipMediaApplicationDialIn";
const TRUNK = "VoiceConnector";
const REGION = "us-east-1";
const LAMBDA_ARN = `arn:aws:lambda:${REGION}:123456789012:function:front-desk`;

const until = async (look, enough) => {
  let seen = await look();
  for (let turn = 0; turn < 60 && !enough(seen); turn++) {
    await sleep(500);
    seen = await look();
  }
  return seen;
};

const state = async (number) => {
  const { PhoneNumber } = await numbers.GetPhoneNumber({ PhoneNumberId: number });
  const associations = PhoneNumber.Associations.map(({ Name, Value }) => [Name, Value]);
  return [PhoneNumber.Status, PhoneNumber.ProductType, associations];
};

const listed = async (filters) =>
  (await numbers.ListPhoneNumbers(filters)).PhoneNumbers.map((number) => number.E164PhoneNumber);

const disable = async (number, rule) => {
  const { SipRule } = await estate.UpdateSipRule({ SipRuleId: rule.SipRuleId, Name: rule.Name, Disabled: true });
  assert.equal(SipRule.Disabled, true);
  const seen = await until(() => state(number), ([status]) => status !== "Assigned");
  assert.deepEqual(seen, ["Unassigned", DIAL_IN, []]);
};

const [number] = (await numbers.SearchAvailablePhoneNumbers({ AreaCode: "206", MaxResults: 1 })).E164PhoneNumbers;
const ordered = await numbers.CreatePhoneNumberOrder({ ProductType: DIAL_IN, E164PhoneNumbers: [number] });
const { PhoneNumberOrderId } = ordered.PhoneNumberOrder;
const settled = await until(
  () => numbers.GetPhoneNumberOrder({ PhoneNumberOrderId }),
  ({ PhoneNumberOrder }) => PhoneNumberOrder.Status !== "Processing",
);
assert.equal(settled.PhoneNumberOrder.Status, "Successful");
assert.ok(settled.PhoneNumberOrder.UpdatedTimestamp instanceof Date);
assert.deepEqual(await state(number), ["Unassigned", DIAL_IN, []]);

const { SipMediaApplication } = await estate.CreateSipMediaApplication({
  AwsRegion: REGION,
  Name: "Front desk",
  Endpoints: [{ LambdaArn: LAMBDA_ARN }],
});
const { SipMediaApplicationId } = SipMediaApplication;
assert.deepEqual(SipMediaApplication.Endpoints, [{ LambdaArn: LAMBDA_ARN }]);
const { SipRule } = await estate.CreateSipRule({
  Name: "To the front desk",
  TriggerType: "ToPhoneNumber",
  TriggerValue: number,
  TargetApplications: [{ SipMediaApplicationId, Priority: 1, AwsRegion: REGION }],
});
const { SipRuleId } = SipRule;
assert.ok(SipRule.CreatedTimestamp instanceof Date);
assert.deepEqual(await state(number), ["Assigned", DIAL_IN, [["SipRuleId", SipRuleId]]]);
await assert.rejects(
  numbers.UpdatePhoneNumber({ PhoneNumberId: number, ProductType: TRUNK }),
  numbersSdk.BadRequestException,
);

await disable(number, SipRule);
await numbers.UpdatePhoneNumber({ PhoneNumberId: number, ProductType: TRUNK });
const { VoiceConnector } = await estate.CreateVoiceConnector({
  Name: "Trunk",
  RequireEncryption: true,
  AwsRegion: REGION,
});
const { VoiceConnectorId } = VoiceConnector;
assert.ok(VoiceConnector.OutboundHostName.startsWith(VoiceConnectorId));
const associated = await estate.AssociatePhoneNumbersWithVoiceConnector({
  VoiceConnectorId,
  E164PhoneNumbers: [number],
});
assert.deepEqual(associated.PhoneNumberErrors, []);
assert.deepEqual(await state(number), ["Assigned", TRUNK, [["VoiceConnectorId", VoiceConnectorId]]]);
assert.deepEqual(await listed({ FilterName: "VoiceConnectorId", FilterValue: VoiceConnectorId }), [number]);
await assert.rejects(numbers.DeletePhoneNumber({ PhoneNumberId: number }), numbersSdk.BadRequestException);

const disassociated = await estate.DisassociatePhoneNumbersFromVoiceConnector({
  VoiceConnectorId,
  E164PhoneNumbers: [number],
});
assert.deepEqual(disassociated.PhoneNumberErrors, []);
assert.deepEqual(await state(number), ["Unassigned", TRUNK, []]);
await numbers.UpdatePhoneNumber({ PhoneNumberId: number, ProductType: DIAL_IN });
await estate.UpdateSipRule({ SipRuleId, Name: SipRule.Name, Disabled: false });
assert.deepEqual(await state(number), ["Assigned", DIAL_IN, [["SipRuleId", SipRuleId]]]);
const enabled = (await estate.GetSipRule({ SipRuleId })).SipRule;
assert.equal(enabled.Disabled, false);
assert.deepEqual(enabled.TargetApplications, SipRule.TargetApplications);

await disable(number, SipRule);
await estate.DeleteSipRule({ SipRuleId });
await estate.DeleteSipMediaApplication({ SipMediaApplicationId });
await estate.DeleteVoiceConnector({ VoiceConnectorId });
await numbers.DeletePhoneNumber({ PhoneNumberId: number });
await assert.rejects(estate.GetSipRule({ SipRuleId }), voice.NotFoundException);
await assert.rejects(estate.GetSipMediaApplication({ SipMediaApplicationId }), voice.NotFoundException);
await assert.rejects(estate.GetVoiceConnector({ VoiceConnectorId }), voice.NotFoundException);
assert.deepEqual((await estate.ListSipRules()).SipRules, []);
assert.deepEqual((await estate.ListSipMediaApplications()).SipMediaApplications, []);
assert.deepEqual((await estate.ListVoiceConnectors()).VoiceConnectors, []);
assert.deepEqual(await listed({}), []);
assert.deepEqual(await listed({ Status: "ReleaseInProgress" }), [number]);

console.log(JSON.stringify([...called].sort()));
