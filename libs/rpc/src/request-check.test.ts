import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  CreateSandboxRequestSchema,
  EgressAction,
  NetworkProtocol,
  type NetworkSpecSchema,
  SandboxService,
  StopSandboxRequestSchema,
} from "@paddock/protocol";
import { createRequestCheck } from "./request-check.ts";

const check = createRequestCheck();

test("the shared rules of ids and request ids are checked, and a violation describes the valid form", () => {
  const request = create(StopSandboxRequestSchema, { requestId: "x".repeat(65), sandboxId: "../x" });
  assert.throws(
    () => check(SandboxService.method.stopSandbox, request),
    (error) => {
      assert.ok(error instanceof PaddockError);
      assert.equal(error.reason, "INVALID_FIELD");
      assert.match(error.message, /request_id: must be 1 to 64 letters/);
      assert.match(error.message, /sandbox_id: must be 1 to 128 letters/);
      return true;
    },
  );
});

test("an id that may be left out may be empty", () => {
  const request = create(CreateSandboxRequestSchema, { requestId: "r", spec: {} });
  assert.doesNotThrow(() => check(SandboxService.method.createSandbox, request));
});

const checkNetwork = (network: MessageInitShape<typeof NetworkSpecSchema>) =>
  check(
    SandboxService.method.createSandbox,
    create(CreateSandboxRequestSchema, { requestId: "r", spec: { network } }),
  );

test("a network with everything is accepted", () => {
  checkNetwork({
    policy: { rules: [{ action: EgressAction.ALLOW, destination: "192.0.2.0/24", firstPort: 443 }] },
    publishedPorts: [{ guestPort: 80 }, { hostAddress: "::1", hostPort: 8080, guestPort: 80 }],
    extraHosts: [{ name: "db.internal", address: "192.0.2.1" }],
    bandwidth: { sendBytesPerSecond: 1_000_000n },
  });
});

const rule = { action: EgressAction.DENY };
const wrongNetworks: readonly [string, RegExp, MessageInitShape<typeof NetworkSpecSchema>][] = [
  ["port 70000", /guest_port/, { publishedPorts: [{ guestPort: 70_000 }] }],
  ["port 0 in the sandbox", /guest_port/, { publishedPorts: [{ guestPort: 0 }] }],
  [
    "a published host name",
    /host_address/,
    { publishedPorts: [{ hostAddress: "localhost", guestPort: 80 }] },
  ],
  ["published ICMP", /protocol/, { publishedPorts: [{ guestPort: 80, protocol: NetworkProtocol.ICMP }] }],
  ["a rule without an action", /action/, { policy: { rules: [{}] } }],
  [
    "a destination that is not a range",
    /destination/,
    { policy: { rules: [{ ...rule, destination: "any" }] } },
  ],
  ["10,000 rules", /rules/, { policy: { rules: Array.from({ length: 10_000 }, () => rule) } }],
  ["a rate of 1 byte", /send_bytes_per_second/, { bandwidth: { sendBytesPerSecond: 1n } }],
  ["a host name with a blank", /name/, { extraHosts: [{ name: "a b", address: "192.0.2.1" }] }],
];

for (const [name, field, network] of wrongNetworks)
  test(`a network with ${name} is refused`, () => {
    assert.throws(() => checkNetwork(network), { reason: "INVALID_FIELD", message: field });
  });
