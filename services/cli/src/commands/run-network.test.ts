import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import {
  EgressAction,
  EgressMode,
  NetworkMode,
  NetworkProtocol,
  SandboxService,
  type SandboxSpec,
} from "@paddock/protocol";
import { cli } from "../testing/run-in-process.ts";

async function fixture() {
  const api = await FakeApi.start();
  const specs: (SandboxSpec | undefined)[] = [];
  const note = ({ sandboxId, spec }: { sandboxId: string; spec?: SandboxSpec | undefined }) => {
    specs.push(spec);
    return { sandbox: { sandboxId } };
  };
  api.unary(SandboxService.method.runSandbox, note).unary(SandboxService.method.createSandbox, note);
  return { api, specs, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

test("run and create put ports, hosts, rules, rates and DNS into the spec", async () => {
  await using f = await fixture();
  const options = [
    ...[
      "-p",
      "8080:80",
      "--publish",
      "[::1]::53/udp",
      "--add-host",
      "db:10.0.0.7",
      "--add-host",
      "db6:[fd00::7]",
    ],
    ...["--egress", "none", "--deny", "10.9.0.0/16", "--allow", "10.0.0.0/8:5432", "--bandwidth-out", "1m"],
    ...[
      "--dns",
      "192.0.2.53",
      "--dns-search",
      "svc.example",
      "--dns-option",
      "ndots:2",
      "--network",
      "default",
    ],
  ];
  assert.equal((await cli(f.api, ["run", "-d", ...options, "tiny"])).code, 0);
  assert.equal((await cli(f.api, ["create", ...options, "tiny"])).code, 0);
  const [spec, created] = f.specs;
  assert.deepEqual(created?.network, spec?.network);
  assert.equal(spec?.network?.mode, NetworkMode.DEFAULT);
  assert.deepEqual(
    spec?.network?.publishedPorts.map((each) => [
      each.hostAddress,
      each.hostPort,
      each.guestPort,
      each.protocol,
    ]),
    [
      ["", 8080, 80, NetworkProtocol.TCP],
      ["::1", 0, 53, NetworkProtocol.UDP],
    ],
  );
  assert.deepEqual(
    spec?.network?.extraHosts.map(({ name, address }) => [name, address]),
    [
      ["db", "10.0.0.7"],
      ["db6", "fd00::7"],
    ],
  );
  assert.equal(spec?.network?.policy?.otherwise, EgressMode.NONE);
  assert.deepEqual(
    spec?.network?.policy?.rules.map(({ action, destination }) => [action, destination]),
    [
      [EgressAction.DENY, "10.9.0.0/16"],
      [EgressAction.ALLOW, "10.0.0.0/8"],
    ],
  );
  const { sendBytesPerSecond, receiveBytesPerSecond } = spec?.network?.bandwidth ?? {};
  assert.deepEqual([sendBytesPerSecond, receiveBytesPerSecond], [1024n * 1024n, 0n]);
  const { nameservers, searches, options: resolver } = spec?.dns ?? {};
  assert.deepEqual([nameservers, searches, resolver], [["192.0.2.53"], ["svc.example"], ["ndots:2"]]);
});

test("without options the spec leaves the network to the node", async () => {
  await using f = await fixture();
  await cli(f.api, ["run", "-d", "tiny"]);
  await cli(f.api, ["run", "-d", "--network", "none", "tiny"]);
  await cli(f.api, ["run", "-d", "--dns", "192.0.2.53", "tiny"]);
  assert.deepEqual(
    f.specs.map((spec) => spec?.network?.mode),
    [undefined, NetworkMode.NONE, undefined],
  );
  assert.deepEqual(
    f.specs.map((spec) => spec?.dns?.nameservers),
    [undefined, undefined, ["192.0.2.53"]],
  );
});

const three = ["--dns", "192.0.2.1", "--dns", "192.0.2.2", "--dns", "192.0.2.3"];

for (const { words, says } of [
  { words: ["--network", "host"], says: /there is no network "host"\nhint: write "default"/ },
  {
    words: ["--network", "none", "-p", "80"],
    says: /--network none leaves no network for the other options/,
  },
  {
    words: ["--sandbox", "web", "-p", "80"],
    says: /share the network that it has\nhint: "paddock network update"/,
  },
  { words: ["--sandbox", "web", "--dns", "192.0.2.1"], says: /share the network that it has/ },
  { words: ["-p", "8080:80", "-p", "8080:81"], says: /port 8080\/tcp of the host twice/ },
  { words: ["--add-host", "db"], says: /is not a name and an address\nhint: write NAME:ADDRESS/ },
  { words: ["--add-host", "gw:host-gateway"], says: /--add-host gw: "host-gateway" is not an IP address/ },
  { words: [...three, "--dns", "192.0.2.4"], says: /--dns is given 4 times\nhint: a sandbox can have 3/ },
  { words: ["--dns", "resolver"], says: /--dns: "resolver" is not an IP address/ },
  { words: ["--dns-search", "a b"], says: /has a character that is not allowed/ },
  { words: ["--allow", "10.0.0.1/8"], says: /--allow 10\.0\.0\.1\/8: .* has bits set after its prefix/ },
]) {
  test(`"run ${words.join(" ")}" is refused before an image is imported or anything is made`, async () => {
    await using f = await fixture();
    const { code, err } = await cli(f.api, ["run", "--rm", ...words, "./missing.tar"]);
    assert.deepEqual([code, f.api.calls], [2, []]);
    assert.match(err, says);
  });
}

test("run can name a network namespace of the node, peers and slots for interfaces", async () => {
  await using f = await fixture();
  assert.equal((await cli(f.api, ["run", "-d", "--network", "ns:pod-1", "tiny"])).code, 0);
  const words = ["run", "-d", "--peer", "db", "--peer", "cache", "--interface-slots", "3", "tiny"];
  assert.equal((await cli(f.api, words)).code, 0);
  const [inNamespace, withPeers] = f.specs.map((spec) => spec?.network);
  assert.deepEqual([inNamespace?.mode, inNamespace?.namespace], [NetworkMode.NAMESPACE, "pod-1"]);
  assert.deepEqual([withPeers?.peers, withPeers?.interfaceSlots], [["db", "cache"], 3]);
  for (const [option, value] of [
    ["--network", "ns:../etc"],
    ["--peer", "no id"],
    ["--interface-slots", "9"],
  ] as const) {
    const { code, err } = await cli(f.api, ["run", "-d", option, value, "tiny"]);
    assert.equal(code, 2, err);
    assert.match(err, new RegExp(option));
  }
  assert.equal(f.specs.length, 2);
});
