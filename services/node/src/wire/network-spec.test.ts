import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  EgressAction,
  EgressMode,
  NetworkMode,
  NetworkPolicySchema,
  NetworkProtocol,
  NetworkSpecSchema,
} from "@paddock/protocol";
import { callersNamespace, egressPolicy, publishedPorts, wantsNetwork } from "./network-spec.ts";

test("a spec without a mode uses the network of its node, if there is one", () => {
  for (const spec of [undefined, create(NetworkSpecSchema)])
    assert.deepEqual([wantsNetwork(spec, true), wantsNetwork(spec, false)], [true, false]);
});

test("a sandbox in mode none has no network", () => {
  assert.equal(wantsNetwork(create(NetworkSpecSchema, { mode: NetworkMode.NONE }), true), false);
});

const asking: readonly [string, MessageInitShape<typeof NetworkSpecSchema>][] = [
  ["the default network", { mode: NetworkMode.DEFAULT }],
  ["a policy", { policy: {} }],
  ["a published port", { publishedPorts: [{ guestPort: 80 }] }],
  ["a rate", { bandwidth: {} }],
  ["a host name", { extraHosts: [{ name: "db", address: "192.0.2.1" }] }],
];

for (const [name, spec] of asking)
  test(`${name} is refused by a node without a network, and in mode none`, () => {
    assert.equal(wantsNetwork(create(NetworkSpecSchema, spec), true), true);
    assert.throws(() => wantsNetwork(create(NetworkSpecSchema, spec), false), { reason: "NOT_IMPLEMENTED" });
    if (name !== "the default network")
      assert.throws(
        () => wantsNetwork(create(NetworkSpecSchema, { ...spec, mode: NetworkMode.NONE }), true),
        {
          reason: "INVALID_FIELD",
        },
      );
  });

test("a policy without rules is its mode, or public without a mode", () => {
  assert.deepEqual(egressPolicy(undefined), { kind: "public" });
  assert.deepEqual(egressPolicy(create(NetworkPolicySchema, { otherwise: EgressMode.NONE })), {
    kind: "none",
  });
});

test("rules keep their order, and a single port is a range of one", () => {
  const policy = create(NetworkPolicySchema, {
    rules: [
      {
        action: EgressAction.ALLOW,
        destination: "10.0.0.0/8",
        protocol: NetworkProtocol.TCP,
        firstPort: 443,
      },
      { action: EgressAction.DENY },
    ],
    otherwise: EgressMode.OPEN,
  });
  assert.deepEqual(egressPolicy(policy), {
    kind: "rules",
    otherwise: "open",
    rules: [
      {
        action: "allow",
        to: { family: 4, network: 0x0a000000n, prefix: 8 },
        protocol: "tcp",
        ports: { first: 443, last: 443 },
      },
      { action: "deny", to: undefined, protocol: "any", ports: undefined },
    ],
  });
});

for (const [name, rule, field] of [
  ["bits after the prefix", { destination: "10.0.0.1/8" }, "policy.rules[0].destination"],
  ["ports in the wrong order", { firstPort: 9, lastPort: 8, protocol: NetworkProtocol.TCP }, "policy.rules"],
  ["a last port alone", { lastPort: 8, protocol: NetworkProtocol.TCP }, "policy.rules"],
  ["ports without a protocol", { firstPort: 9 }, "policy.rules"],
] as const)
  test(`a rule with ${name} is an invalid field`, () => {
    const policy = create(NetworkPolicySchema, { rules: [{ action: EgressAction.DENY, ...rule }] });
    assert.throws(
      () => egressPolicy(policy),
      (error) => {
        assert.ok(error instanceof PaddockError);
        assert.equal(error.reason, "INVALID_FIELD");
        assert.deepEqual(
          error.violations.map((violation) => violation.field),
          [`spec.network.${field}`],
        );
        return true;
      },
    );
  });

test("a published port is TCP by default", () => {
  const spec = create(NetworkSpecSchema, {
    publishedPorts: [
      { guestPort: 80 },
      { guestPort: 53, protocol: NetworkProtocol.UDP, hostAddress: "127.0.0.1", hostPort: 53 },
    ],
  });
  assert.deepEqual(publishedPorts(spec), [
    { hostAddress: "", protocol: "tcp", hostPort: 0, guestPort: 80 },
    { hostAddress: "127.0.0.1", protocol: "udp", hostPort: 53, guestPort: 53 },
  ]);
});

const inNamespace = (more: MessageInitShape<typeof NetworkSpecSchema> = {}) =>
  create(NetworkSpecSchema, { mode: NetworkMode.NAMESPACE, namespace: "pod", ...more });

test("a sandbox in a network namespace is not on the network of its node", () => {
  assert.equal(wantsNetwork(inNamespace(), true), false);
  assert.equal(callersNamespace(inNamespace(), true), "pod");
  assert.equal(callersNamespace(create(NetworkSpecSchema), true), undefined);
});

test("a node that does not allow its network namespaces refuses them", () => {
  assert.throws(() => callersNamespace(inNamespace(), false), {
    reason: "NOT_IMPLEMENTED",
    hint: /NAMESPACES=on/,
  });
});

const contradicting: readonly [string, MessageInitShape<typeof NetworkSpecSchema>][] = [
  ["no name", { namespace: "" }],
  ["a policy", { policy: {} }],
  ["a rate", { bandwidth: {} }],
  ["a published port", { publishedPorts: [{ guestPort: 80 }] }],
  ["a peer", { peers: ["other"] }],
];

for (const [name, more] of contradicting)
  test(`a network namespace with ${name} is an invalid field`, () => {
    assert.throws(() => callersNamespace(inNamespace(more), true), { reason: "INVALID_FIELD" });
  });

test("the name of a network namespace needs its mode", () => {
  const spec = create(NetworkSpecSchema, { namespace: "pod" });
  assert.throws(() => wantsNetwork(spec, true), { reason: "INVALID_FIELD" });
});
