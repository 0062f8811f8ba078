import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { requireAddress } from "./address.ts";
import { parseCidr } from "./cidr.ts";
import { checkPolicy, type EgressRule, MAX_EGRESS_RULES } from "./egress-policy.ts";
import { guestInterface, planNetwork } from "./node-network.ts";
import {
  addInterface,
  changeInterface,
  type InterfaceRules,
  removeInterface,
  removeRuleset,
  ruleset,
} from "./ruleset.ts";
import { TestBed } from "./testing/test-bed.ts";

const network = planNetwork({ bridge: "paddock0", mtu: 1400, v4: "10.88.0.0/16", v6: "fd70:88::/64" });

const rules: readonly EgressRule[] = [
  { action: "allow", to: parseCidr("192.0.2.0/24"), protocol: "tcp", ports: { first: 80, last: 443 } },
  { action: "deny", to: parseCidr("fd00::/8"), protocol: "any", ports: undefined },
  { action: "allow", to: undefined, protocol: "icmp", ports: undefined },
];

const plain = (index: number): InterfaceRules => ({
  guest: guestInterface(network, index),
  policy: { kind: "public" },
  dns: [],
  published: [],
  peers: [],
  sendBytesPerSecond: undefined,
});

const full: InterfaceRules = {
  ...plain(5),
  policy: { kind: "rules", rules, otherwise: "none" },
  dns: [requireAddress("192.0.2.53")],
  published: [
    { family: 4, hostAddress: undefined, protocol: "tcp", hostPort: 8080, guestPort: 80 },
    { family: 6, hostAddress: requireAddress("::1"), protocol: "udp", hostPort: 53, guestPort: 5353 },
  ],
  peers: [requireAddress("10.88.0.6")],
  sendBytesPerSecond: 1_000_000,
};

test("a plain interface is a few elements", () => {
  assert.deepEqual(addInterface(network, plain(5)), [
    "add element bridge paddock0 macs { paddock0-5 . 02:50:0a:58:00:05 }",
    "add element bridge paddock0 sources4 { paddock0-5 . 02:50:0a:58:00:05 . 10.88.0.5 }",
    "add element bridge paddock0 sources6 { paddock0-5 . 02:50:0a:58:00:05 . fd70:88::5 }",
    "add element bridge paddock0 sources6 { paddock0-5 . 02:50:0a:58:00:05 . fe80::50:aff:fe58:5 }",
    "add element inet paddock0 public4 { 10.88.0.5 }",
    "add element inet paddock0 public6 { fd70:88::5 }",
  ]);
});

test("an interface with everything has a chain, a limit and elements", () => {
  const spoofing = addInterface(network, plain(5)).slice(0, 4);
  assert.deepEqual(addInterface(network, full), [
    "add limit bridge paddock0 paddock0-5 { rate over 1000000 bytes/second burst 131072 bytes; }",
    "add chain inet paddock0 rules-paddock0-5",
    "flush chain inet paddock0 rules-paddock0-5",
    "add rule inet paddock0 rules-paddock0-5 ct original ip daddr 192.0.2.0/24 meta l4proto tcp ct original proto-dst 80-443 accept",
    "add rule inet paddock0 rules-paddock0-5 ct original ip6 daddr fd00::/8 goto refused",
    "add rule inet paddock0 rules-paddock0-5 meta l4proto icmp accept",
    "add rule inet paddock0 rules-paddock0-5 meta l4proto ipv6-icmp accept",
    "add rule inet paddock0 rules-paddock0-5 goto refused",
    ...spoofing,
    'add element bridge paddock0 rates { paddock0-5 : "paddock0-5" }',
    "add element inet paddock0 rules4 { 10.88.0.5 : goto rules-paddock0-5 }",
    "add element inet paddock0 rules6 { fd70:88::5 : goto rules-paddock0-5 }",
    "add element inet paddock0 dns4 { 10.88.0.5 . 192.0.2.53 }",
    "add element inet paddock0 published_any4 { tcp . 8080 : 10.88.0.5 . 80 }",
    "add element inet paddock0 targets4 { tcp . 10.88.0.5 . 80 }",
    "add element inet paddock0 published6 { ::1 . udp . 53 : fd70:88::5 . 5353 }",
    "add element inet paddock0 targets6 { udp . fd70:88::5 . 5353 }",
    "add element inet paddock0 peers4 { 10.88.0.5 . 10.88.0.6 }",
  ]);
});

test("a change of policy touches nothing but the policy", () => {
  const [before, after] = [plain(5), { ...plain(5), policy: { kind: "open" as const } }];
  assert.deepEqual(changeInterface(network, before, after), [
    "delete element inet paddock0 public4 { 10.88.0.5 }",
    "delete element inet paddock0 public6 { fd70:88::5 }",
    "add element inet paddock0 open4 { 10.88.0.5 }",
    "add element inet paddock0 open6 { fd70:88::5 }",
  ]);
  assert.deepEqual(
    changeInterface(network, full, full),
    ["flush chain inet paddock0 rules-paddock0-5", ...addInterface(network, full).slice(3, 8)].toSpliced(
      0,
      0,
      "add chain inet paddock0 rules-paddock0-5",
    ),
  );
});

const refused: readonly [string, EgressRule][] = [
  ["a port 70000", { action: "allow", to: undefined, protocol: "tcp", ports: { first: 1, last: 70_000 } }],
  ["port 0", { action: "allow", to: undefined, protocol: "tcp", ports: { first: 0, last: 1 } }],
  [
    "ports in the wrong order",
    { action: "allow", to: undefined, protocol: "udp", ports: { first: 9, last: 8 } },
  ],
  [
    "ports without a protocol",
    { action: "allow", to: undefined, protocol: "any", ports: { first: 8, last: 9 } },
  ],
];

for (const [name, rule] of refused)
  test(`${name} is refused`, () => {
    assert.throws(() => checkPolicy({ kind: "rules", rules: [rule], otherwise: "none" }), {
      kind: "invalid",
    });
  });

test("a policy of 10,000 rules is refused, one of the most that are allowed is applied", async () => {
  const many = (count: number): InterfaceRules => ({
    ...plain(5),
    policy: {
      kind: "rules",
      rules: Array.from({ length: count }, () => rules)
        .flat()
        .slice(0, count),
      otherwise: "public",
    },
  });
  assert.throws(() => addInterface(network, many(10_000)), { name: "NetworkError", kind: "invalid" });
  await bed.writer.rules(addInterface(network, many(MAX_EGRESS_RULES)));
  await bed.writer.rules(removeInterface(network, many(MAX_EGRESS_RULES)));
});

let bed: TestBed;
before(async () => {
  bed = await TestBed.create();
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

const listing = () => bed.host.shell("nft list ruleset");

test("what is added is removed without a trace, and removing is safe to repeat", async () => {
  const empty = await listing();
  await bed.writer.rules(addInterface(network, full));
  await bed.writer.rules(addInterface(network, full));
  await bed.writer.rules(removeInterface(network, full));
  await bed.writer.rules(removeInterface(network, full));
  assert.equal(await listing(), empty);
});

test("a change and its way back give the same rules as before", async () => {
  await bed.writer.rules(addInterface(network, full));
  const earlier = await listing();
  const other = { ...plain(5), policy: { kind: "none" as const }, sendBytesPerSecond: 2_000_000 };
  for (const [before, after] of [
    [full, other],
    [other, plain(5)],
    [plain(5), full],
  ] as const)
    await bed.writer.rules(changeInterface(network, before, after));
  assert.deepEqual((await listing()).split("\n").sort(), earlier.split("\n").sort());
  await bed.writer.rules(removeInterface(network, full));
});

test("a change that the kernel refuses changes nothing", async () => {
  await bed.writer.rules(addInterface(network, full));
  const earlier = await listing();
  const lines = changeInterface(network, full, plain(5));
  await assert.rejects(bed.writer.rules([...lines, "delete element inet paddock0 open4 { 192.0.2.1 }"]), {
    name: "NetworkError",
    kind: "refused",
    message: /No such file/,
  });
  assert.equal(await listing(), earlier);
});

test("the whole ruleset replaces the one that is there, with its interfaces", async () => {
  await bed.writer.rules(ruleset(network, [full, plain(6)]));
  assert.deepEqual([...(await bed.reader.macs(network)).keys()].sort(), ["paddock0-5", "paddock0-6"]);
  await bed.writer.rules(ruleset(network, [plain(7)]));
  assert.deepEqual([...(await bed.reader.macs(network))], [["paddock0-7", "02:50:0a:58:00:07"]]);
});

test("adding an interface costs the same beside one and beside a thousand others", async () => {
  await bed.writer.rules(ruleset(network, []));
  const medianMs = async (first: number) => {
    const times: number[] = [];
    for (let index = first; index < first + 21; index++) {
      const start = performance.now();
      await bed.writer.rules(addInterface(network, plain(index)));
      times.push(performance.now() - start);
    }
    return times.toSorted((a, b) => a - b)[10] ?? 0;
  };
  const fill = (from: number, to: number) =>
    bed.writer.rules(
      Array.from({ length: to - from }, (_, at) => addInterface(network, plain(from + at))).flat(),
    );
  const alone = await medianMs(2);
  await fill(100, 200);
  const beside100 = await medianMs(300);
  await fill(1000, 2000);
  const beside1000 = await medianMs(3000);
  const figures = `alone ${alone.toFixed(1)} ms, beside 100 ${beside100.toFixed(1)} ms, beside 1,000 ${beside1000.toFixed(1)} ms`;
  console.log(`adding an interface: ${figures}`);
  assert.ok(beside1000 < 4 * alone + 10, figures);
});

test("the tables are removed, whether or not they are there", async () => {
  await bed.writer.rules(removeRuleset(network));
  await bed.writer.rules(removeRuleset(network));
  assert.equal(await listing(), "");
});
