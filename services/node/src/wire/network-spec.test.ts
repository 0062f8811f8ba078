import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { NetworkMode, NetworkSpecSchema } from "@paddock/protocol";
import { checkNetworkSpec } from "./network-spec.ts";

test("a sandbox without a network is accepted, whether or not its spec says so", () => {
  checkNetworkSpec(undefined);
  checkNetworkSpec(create(NetworkSpecSchema));
  checkNetworkSpec(create(NetworkSpecSchema, { mode: NetworkMode.NONE }));
});

const refused: readonly [string, MessageInitShape<typeof NetworkSpecSchema>][] = [
  ["the default network", { mode: NetworkMode.DEFAULT }],
  ["a policy", { policy: {} }],
  ["a published port", { publishedPorts: [{ guestPort: 80 }] }],
  ["a rate", { bandwidth: {} }],
  ["a host name", { extraHosts: [{ name: "db", address: "192.0.2.1" }] }],
];

for (const [name, spec] of refused)
  test(`${name} is refused as not implemented`, () => {
    assert.throws(() => checkNetworkSpec(create(NetworkSpecSchema, spec)), { reason: "NOT_IMPLEMENTED" });
  });
