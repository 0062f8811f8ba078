import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { EgressAction, EgressMode } from "@paddock/protocol";
import { serveNetwork } from "../testing/fake-network.ts";
import { cli } from "../testing/run-in-process.ts";

async function fixture() {
  const api = await FakeApi.start();
  const asked = serveNetwork(api);
  return {
    api,
    asked,
    run: (...words: string[]) => cli(api, ["network", ...words]),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

const rowsOf = (table: string): string[][] =>
  table
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {3,}/));

const HEADING = ["SANDBOX", "INTERFACE", "NAME", "ADDRESSES", "MAC", "MTU"];
const FIRST = ["web", "eth0", "eth0", "10.213.0.2/32, fd5a:9c1d:7b3e::2/128", "02:50:0a:d5:00:02", "1400"];
const SECOND = ["web", "lan0", "net1", "10.214.0.2/32", "02:50:0a:d5:00:02", "1400"];

test("network ls lists the interfaces of all sandboxes, and notes where the guest of a named one differs", async () => {
  await using f = await fixture();
  assert.deepEqual(rowsOf((await f.run("ls")).out), [HEADING, FIRST, SECOND]);
  const named = await f.run("ls", "web");
  assert.deepEqual(rowsOf(named.out), [HEADING, FIRST, SECOND]);
  assert.equal(
    named.err,
    'note: interface net1: the guest of "web" reports nothing, and "net1 mtu 1400" is declared\n',
  );
  assert.equal((await f.run("ls", "-q")).out, "web/eth0\nweb/lan0\n");
  const [first] = JSON.parse((await f.run("ls", "-o", "json")).out);
  assert.deepEqual([first.sandboxId, first.interfaceId, first.mtu], ["web", "eth0", 1400]);
});

test("network inspect shows interfaces, ports, rules in order, rates and DNS servers", async () => {
  await using f = await fixture();
  assert.deepEqual(rowsOf((await f.run("inspect", "web")).out), [
    ["sandbox", "web"],
    ["interface eth0", "eth0, 10.213.0.2/32, fd5a:9c1d:7b3e::2/128, 02:50:0a:d5:00:02, mtu 1400"],
    ["interface lan0", "net1, 10.214.0.2/32, 02:50:0a:d5:00:02, mtu 1400"],
    ["ports", "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 127.0.0.1:5353->53/udp"],
    ["rule 1", "allow 10.0.0.0/8:443/tcp"],
    ["egress", "none"],
    ["bandwidth", "out 1.00MiB/s, in none"],
    ["dns servers", "192.0.2.53"],
  ]);
  const json = JSON.parse((await f.run("inspect", "web", "-o", "json")).out);
  assert.equal(json.publishedPorts[0].hostPort, 8080);
});

test("a sandbox without a network is reported with a hint", async () => {
  await using f = await fixture();
  for (const words of [
    ["inspect", "alone"],
    ["log", "alone"],
    ["ls", "alone"],
    ["connect", "alone"],
  ]) {
    const { code, out, err } = await f.run(...words);
    assert.deepEqual([code, out], [1, ""]);
    assert.match(err, /^error: sandbox "alone" has no network\nhint: .*--network none.*PADDOCK_NETWORK/);
  }
});

test("network log lists refused packets, with the text of the guest made visible, and the totals as a note", async () => {
  await using f = await fixture();
  const { out, err } = await f.run("log", "web");
  assert.deepEqual(rowsOf(out), [
    ["TIME", "SOURCE", "DESTINATION", "PROTOCOL", "PORT", "PACKETS"],
    ["2026-01-31T12:00:00.000Z", "10.213.0.2", "192.168.0.1", "tcp", "22", "3"],
    ["2026-01-31T11:59:50.000Z", "10.213.0.2", "\\x1b[2J", "-", "-", "1"],
  ]);
  assert.equal(err, "note: since its start 12 packets were refused, and 2 forged ones dropped\n");
  const json = JSON.parse((await f.run("log", "-o", "json", "web")).out);
  assert.deepEqual([json.packets.length, json.refusedPackets], [2, "12"]);
});

test("network update sends rules in the order of the command line, and keeps the mode without --egress", async () => {
  await using f = await fixture();
  const rules = ["--deny", "10.0.0.1", "--allow", "10.0.0.0/8:5432", "--deny", "any:25/tcp"];
  const { code, out } = await f.run("update", "web", ...rules);
  assert.equal(code, 0);
  const [{ policy, bandwidth } = { policy: undefined, bandwidth: undefined }] = f.asked.updates;
  assert.equal(policy?.otherwise, EgressMode.NONE);
  assert.deepEqual(
    policy?.rules.map(({ action, destination, firstPort }) => [action, destination, firstPort]),
    [
      [EgressAction.DENY, "10.0.0.1/32", 0],
      [EgressAction.ALLOW, "10.0.0.0/8", 5432],
      [EgressAction.DENY, "", 25],
    ],
  );
  assert.equal(bandwidth, undefined);
  assert.match(out, /\nrule 2 +allow 10\.0\.0\.0\/8:5432\/tcp\nrule 3 +deny any:25\/tcp\negress +none\n/);
});

test("network update --egress without rules removes the rules", async () => {
  await using f = await fixture();
  await f.run("update", "web", "--egress", "open");
  assert.deepEqual(f.asked.updates[0]?.policy?.rules, []);
  assert.equal(f.asked.updates[0]?.policy?.otherwise, EgressMode.OPEN);
});

test("network update replaces ports and peers as a whole, and none removes them", async () => {
  await using f = await fixture();
  await f.run("update", "web", "-p", "8080:80", "--peer", "db", "--peer", "db", "--rescan");
  await f.run("update", "web", "-p", "none", "--peer", "none");
  assert.deepEqual(
    f.asked.updates.map(({ publishedPorts, peers, rescan, policy }) => [
      publishedPorts?.ports.map(({ hostPort, guestPort }) => [hostPort, guestPort]),
      peers?.sandboxIds,
      rescan,
      policy,
    ]),
    [
      [[[8080, 80]], ["db"], true, undefined],
      [[], [], false, undefined],
    ],
  );
});

test("network update of one rate keeps the other, and the policy", async () => {
  await using f = await fixture();
  assert.equal((await f.run("update", "web", "--bandwidth-in", "2m", "-q")).out, "web\n");
  await f.run("update", "web", "--bandwidth-out", "none", "--bandwidth-in", "12500");
  assert.deepEqual(
    f.asked.updates.map(({ policy, bandwidth }) => [
      policy,
      bandwidth?.sendBytesPerSecond,
      bandwidth?.receiveBytesPerSecond,
    ]),
    [
      [undefined, 1024n * 1024n, 2n * 1024n * 1024n],
      [undefined, 0n, 12_500n],
    ],
  );
});

test("network connect adds an interface under its name or a generated id", async () => {
  await using f = await fixture();
  const options = ["--name", "lan1", "--ip", "10.9.0.2", "--ip", "fd00:0::2/64", "--mtu", "9000"];
  const { code, out } = await f.run("connect", "web", ...options, "--mac", "02-00-00-00-00-1A");
  assert.equal(code, 0);
  assert.deepEqual(rowsOf(out)[1]?.slice(0, 3), ["web", "lan1", "lan1"]);
  const wanted = f.asked.added[0]?.interface;
  assert.deepEqual([wanted?.interfaceId, wanted?.name, wanted?.mtu], ["lan1", "lan1", 9000]);
  assert.deepEqual(wanted?.addresses, ["10.9.0.2/32", "fd00::2/64"]);
  assert.equal(wanted?.macAddress, "02:00:00:00:00:1a");
  assert.match((await f.run("connect", "web", "-q")).out, /^web\/[0-9a-f]{12}\n$/);
  assert.equal(f.asked.added[1]?.interface?.name, "");
});

test("network disconnect takes an id, or a name in the guest, or what network ls -q prints", async () => {
  await using f = await fixture();
  for (const words of [["web", "lan0"], ["web", "net1"], ["web/lan0"]])
    assert.equal((await f.run("disconnect", ...words)).out, "web/lan0\n");
  assert.deepEqual(
    f.asked.removed.map(({ interfaceId }) => interfaceId),
    ["lan0", "lan0", "lan0"],
  );
  const { code, err } = await f.run("disconnect", "web", "eth9");
  assert.equal(code, 1);
  assert.match(err, /error: sandbox "web" has no interface "eth9"\nhint: it has eth0, lan0\n/);
});

test("network route ls lists routes, and with -q in the words that route set takes", async () => {
  await using f = await fixture();
  assert.deepEqual(rowsOf((await f.run("route", "ls", "web")).out), [
    ["DESTINATION", "GATEWAY", "INTERFACE", "SOURCE", "METRIC", "SCOPE", "ONLINK"],
    ["0.0.0.0/0", "10.213.0.1", "eth0", "-", "100", "-", "-"],
    ["10.213.0.0/16", "-", "eth0", "10.213.0.2", "-", "link", "-"],
    ["::/0", "fe80::1", "eth0", "-", "-", "-", "yes"],
  ]);
  const { err } = await f.run("route", "ls", "web");
  assert.match(err, /^note: route ::\/0 metric 0: .* reports "via fe80::2\\x07", and nothing is declared\n$/);
  const { out } = await f.run("route", "ls", "-q", "web");
  assert.equal(
    out,
    "default via 10.213.0.1 dev eth0 metric 100\n" +
      "10.213.0.0/16 dev eth0 src 10.213.0.2 scope link\n::/0 via fe80::1 dev eth0 onlink\n",
  );
  assert.equal((await f.run("route", "set", "-q", "web", ...out.trimEnd().split(/\s/))).out, out);
});

test("network route set finds interfaces by id and by their names in the guest", async () => {
  await using f = await fixture();
  const { code } = await f.run("route", "set", "web", "default", "via", "10.213.0.1", "dev", "net1");
  assert.equal(code, 0);
  assert.equal(f.asked.routes[0]?.routes[0]?.interfaceId, "lan0");
  const vague = await f.run("route", "set", "web", "default via 10.213.0.1");
  assert.match(vague.err, /has 2 interfaces, and none is named\nhint: it has eth0, lan0\n/);
  assert.equal((await f.run("route", "set", "web", "--clear", "-o", "json")).out, "[]\n");
  const refused = await f.run("route", "set", "web", "default via 192.0.2.1 dev eth0");
  assert.equal(refused.code, 1);
  assert.match(
    refused.err,
    /cannot set the routes of sandbox "web": the gateway 192\.0\.2\.1 is not on a link/,
  );
});

for (const { words, says } of [
  { words: ["network", "update", "web"], says: /there is nothing to change/ },
  { words: ["network", "update", "web", "-p", "70000"], says: /ports are from 1 to 65535/ },
  { words: ["network", "update", "web", "--egress", "all"], says: /"all" is not what a sandbox may reach/ },
  {
    words: ["network", "update", "web", "--bandwidth-out", "1k"],
    says: /from 12500 bytes to 11\.6GiB a second/,
  },
  { words: ["network", "connect", "web", "--ip", "10.9.0.2/33"], says: /a prefix has a length from 0 to 32/ },
  { words: ["network", "connect", "web", "--ip", "lan"], says: /"lan" is not an IP address/ },
  { words: ["network", "connect", "web", "--mac", "01:00:5e:00:00:01"], says: /multicast address/ },
  { words: ["network", "connect", "web", "--mtu", "100"], says: /from 576 to 9216/ },
  { words: ["network", "connect", "web", "--name", "0123456789abcdef"], says: /not a name for an interface/ },
  { words: ["network", "disconnect", "web"], says: /one sandbox and one interface/ },
  { words: ["network", "disconnect", "web/eth0", "eth1"], says: /one sandbox and one interface/ },
  { words: ["network", "route", "set", "web"], says: /there is no route to set/ },
  { words: ["network", "route", "set", "web", "--clear", "::/0"], says: /exclude each other/ },
]) {
  test(`"${words.join(" ")}" is refused before any call`, async () => {
    await using f = await fixture();
    const { code, err } = await cli(f.api, words);
    assert.deepEqual([code, f.api.calls], [2, []]);
    assert.match(err, says);
    assert.match(err, /\nhint: /);
  });
}
