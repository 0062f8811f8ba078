/** A sandbox in a network namespace that this test made, as a CNI plugin does. */
import "../harness/own-namespace.ts";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { NetworkMode } from "@paddock/protocol";
import { buildNetprobe, Namespace } from "../../libs/network/src/testing/index.ts";
import { exec } from "../harness/exec.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

const run = promisify(execFile);
const shell = async (script: string): Promise<string> => (await run("bash", ["-euc", script])).stdout;

const NETNS = `paddock-test-${process.pid}`;
const sandboxId = "pod";

let stack: Stack;
let outside: Namespace;
const resources = new AsyncDisposableStack();

before(async () => {
  const netprobe = resources.use(await buildNetprobe());
  outside = resources.use(await Namespace.create());
  await shell(`
    ip netns add ${NETNS}
    ip link add pod0 netns ${outside.pid} type veth peer name eth0 netns ${NETNS}
    ip -n ${NETNS} addr add 10.9.0.2/24 dev eth0; ip -n ${NETNS} addr add fd00:9::2/64 dev eth0 nodad
    ip -n ${NETNS} link set eth0 mtu 1400 up; ip -n ${NETNS} route add default via 10.9.0.1`);
  await outside.shell(`
    ip addr add 10.9.0.1/24 dev pod0; ip addr add fd00:9::1/64 dev pod0 nodad; ip link set pod0 up`);
  resources.use(await outside.start(netprobe.path, "echo", "7000"));
  stack = await Stack.start({ PADDOCK_NETWORK: "on", PADDOCK_NETWORK_NAMESPACES: "on" });
});

after(async () => {
  await stack?.[Symbol.asyncDispose]();
  await shell(`ip netns delete ${NETNS}`);
  await resources.disposeAsync();
});

const inContainer = async (script: string) =>
  (await exec(stack.client, ["sh", "-c", script], { sandboxId, containerId: "c1" })).stdout;

/** Whether the container reaches a server outside. */
const reaches = async (address: string) =>
  (await inContainer(`echo hello | timeout 40 nc -w 30 ${address} 7000 || true`)).trim() === "hello";

/** Whether the guest answers outside. */
const answers = (address: string) => outside.shell(`busybox ping -c 2 -W 5 ${address} >/dev/null`);

/** What the namespace has beyond what the test put there. */
const traces = async () =>
  (await shell(`ip -n ${NETNS} -br link show type tun; tc -n ${NETNS} qdisc show ingress`)).trim();

test("a sandbox is in the place of a namespace's programs, with the addresses and routes of its links", async () => {
  const image = await stack.tinyImage();
  const spec = {
    containers: [{ containerId: "c1", image, process: idle }],
    network: { mode: NetworkMode.NAMESPACE, namespace: NETNS },
  };
  const { sandbox } = await stack.client.sandboxes.runSandbox(
    { requestId: randomUUID(), sandboxId, spec },
    { deadline: inSeconds(90) },
  );
  const { namespace, interfaces = [] } = sandbox?.status?.network ?? {};
  assert.equal(namespace, NETNS);
  assert.deepEqual(
    interfaces.map(({ interfaceId, mtu, addresses }) => ({ interfaceId, mtu, addresses })),
    [{ interfaceId: "eth0", mtu: 1400, addresses: ["10.9.0.2/24", "fd00:9::2/64"] }],
  );
  assert.match(await inContainer("ip route"), /default via 10\.9\.0\.1 dev eth0/);
  const { routes } = await stack.client.sandboxes.listRoutes({ sandboxId });
  assert.deepEqual(
    routes.map(({ destination, gateway, interfaceId }) => [destination, gateway, interfaceId]),
    [["0.0.0.0/0", "10.9.0.1", "eth0"]],
  );
  for (const address of ["10.9.0.1", "fd00:9::1"]) assert.ok(await reaches(address));
  await answers("10.9.0.2");
});

test("a rescan gives a running guest new addresses and links, and takes away those that are gone", async () => {
  await shell(`
    ip -n ${NETNS} addr add 10.9.0.3/24 dev eth0
    ip link add pod1 netns ${outside.pid} type veth peer name net1 netns ${NETNS}
    ip -n ${NETNS} addr add 10.8.0.2/24 dev net1; ip -n ${NETNS} link set net1 up`);
  await outside.shell("ip addr add 10.8.0.1/24 dev pod1; ip link set pod1 up");
  const rescan = () =>
    stack.client.sandboxes.updateNetwork(
      { requestId: randomUUID(), sandboxId, rescan: true },
      { deadline: inSeconds(60) },
    );
  const { network } = await rescan();
  assert.deepEqual(
    network?.interfaces.map(({ name }) => name),
    ["eth0", "net1"],
  );
  await answers("10.9.0.3");
  assert.ok(await reaches("10.8.0.1"));
  await outside.shell("ip link delete pod1");
  await rescan();
  assert.doesNotMatch(await inContainer("ip link"), /net1/);
  assert.ok(await reaches("10.9.0.1"));
});

test("the sandbox keeps its network while the daemon is killed, and when it is stopped and started", async () => {
  await stack.killNode();
  await stack.startNode();
  assert.ok(await reaches("10.9.0.1"));
  const { sandboxes } = stack.client;
  await sandboxes.stopSandbox({ requestId: randomUUID(), sandboxId }, { deadline: inSeconds(60) });
  assert.equal(await traces(), "");
  await sandboxes.startSandbox({ requestId: randomUUID(), sandboxId }, { deadline: inSeconds(90) });
  assert.ok(await reaches("10.9.0.1"));
});

test("after the sandbox the namespace is as it was", async () => {
  await stack.client.sandboxes.deleteSandbox(
    { requestId: randomUUID(), sandboxId, force: true },
    { deadline: inSeconds(60) },
  );
  assert.equal(await traces(), "");
  assert.match(await shell(`ip -n ${NETNS} -br addr show dev eth0`), /10\.9\.0\.2\/24/);
});

test("a namespace that is not there, and one that is the host's own, are refused before anything is made", async () => {
  await shell(`touch /run/netns/${NETNS}-host; mount --bind /proc/self/ns/net /run/netns/${NETNS}-host`);
  try {
    for (const namespace of [`${NETNS}-absent`, `${NETNS}-host`])
      await assert.rejects(
        stack.client.sandboxes.createSandbox({
          requestId: randomUUID(),
          sandboxId: "refused",
          spec: { network: { mode: NetworkMode.NAMESPACE, namespace } },
        }),
        { reason: "INVALID_FIELD" },
      );
  } finally {
    await shell(`umount /run/netns/${NETNS}-host; rm /run/netns/${NETNS}-host`);
  }
});
