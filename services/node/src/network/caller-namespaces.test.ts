/** Tests on real named namespaces, in a directory of their own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { mirrorTap } from "@paddock/network";
import { Namespace } from "../../../../libs/network/src/testing/index.ts";
import { CallerNamespaces } from "./caller-namespaces.ts";

const run = promisify(execFile);
const OWNER = { uid: 700001, label: "0123456789abcdef" };

const resources = new AsyncDisposableStack();
let directory: string;
let namespaces: CallerNamespaces;
let pod: Namespace;

/** Gives a namespace a name, like `ip netns`. */
async function name(namespace: Namespace, as: string): Promise<void> {
  const path = join(directory, as);
  await writeFile(path, "");
  await run("mount", ["--bind", `/proc/${namespace.pid}/ns/net`, path]);
  resources.defer(async () => void (await run("umount", [path])));
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "netns-"));
  resources.defer(() => rm(directory, { recursive: true }));
  namespaces = new CallerNamespaces("/state", directory);
  pod = resources.use(await Namespace.create());
  await pod.shell(`
    ip link add name eth0 type veth peer name peer0; ip link set peer0 up
    ip link set eth0 up; ip addr add 10.9.0.2/24 dev eth0; ip route add default via 10.9.0.1`);
  await name(pod, "pod");
});

after(() => resources.disposeAsync());

const signal = AbortSignal.timeout(60_000);

test("the links of a namespace get taps, which are removed without a trace", async () => {
  const { network, ...netns } = await namespaces.read("pod");
  const [link] = network.links;
  assert.ok(link !== undefined && network.links.length === 1);
  await namespaces.connect(netns, network.links, OWNER, signal);
  assert.match(await pod.shell(`ip link show ${mirrorTap(link)}`), /0123456789abcdef/);
  assert.deepEqual(await namespaces.owners(), [{ ...netns, label: OWNER.label }]);
  assert.deepEqual((await namespaces.read("pod")).network, network);
  await namespaces.disconnect(netns, "another");
  assert.equal((await namespaces.owners()).length, 1);
  await namespaces.disconnect(netns, OWNER.label);
  await namespaces.disconnect(netns, OWNER.label);
  assert.equal((await pod.shell("tc qdisc show ingress; ip -br link show type tun")).trim(), "");
  assert.deepEqual(await namespaces.owners(), []);
});

test("incomplete taps are removed, and another program's queue stays", async () => {
  const { network, ...netns } = await namespaces.read("pod");
  for (const [queue, left] of [
    ["tc qdisc add dev eth0 ingress", ""],
    [
      "tc qdisc add dev eth0 ingress; tc filter add dev eth0 ingress u32 match u32 0 0 action mirred egress mirror dev peer0",
      "ingress",
    ],
  ] as const) {
    await pod.shell(queue);
    await assert.rejects(namespaces.connect(netns, network.links, OWNER, signal), { kind: "refused" });
    await namespaces.disconnect(netns, OWNER.label);
    assert.match(await pod.shell("tc qdisc show dev eth0; ip -br link show type tun"), new RegExp(left));
    assert.deepEqual(await namespaces.owners(), []);
  }
  assert.match(await pod.shell("tc qdisc show dev eth0"), /ingress/);
  await pod.shell("tc qdisc delete dev eth0 ingress");
});

test("only files in the directory that are not the host's own namespace are accepted", async () => {
  await writeFile(join(directory, "file"), "");
  await symlink("/proc/self/ns/net", join(directory, "host"));
  for (const each of [
    "absent",
    "file",
    "host",
    "../etc",
    "",
    ".hidden",
    "a/b",
    `/proc/${process.pid}/ns/net`,
  ])
    await assert.rejects(namespaces.read(each), { kind: "invalid" }, each);
});

test("a namespace without an address is refused", async () => {
  await name(resources.use(await Namespace.create()), "bare");
  await assert.rejects(namespaces.read("bare"), { kind: "invalid", message: /has an address/ });
});

test("a name that was given to another namespace is refused, and that namespace is not changed", async () => {
  const { network, ...netns } = await namespaces.read("pod");
  await namespaces.connect(netns, network.links, OWNER, signal);
  const earlier = { ...netns, inode: "1" };
  await assert.rejects(namespaces.connect(earlier, network.links, OWNER, signal), { kind: "invalid" });
  await namespaces.disconnect(earlier, OWNER.label);
  assert.equal((await namespaces.owners()).length, 1);
  await namespaces.disconnect(netns, OWNER.label);
});

test("the taps of another node of the host are not this node's", async () => {
  const { network, ...netns } = await namespaces.read("pod");
  await namespaces.connect(netns, network.links, OWNER, signal);
  const other = new CallerNamespaces("/another/state", directory);
  assert.deepEqual(await other.owners(), []);
  await other.disconnect(netns, OWNER.label);
  assert.equal((await namespaces.owners()).length, 1);
  await namespaces.disconnect(netns, OWNER.label);
});
