/** A sandbox on its node's network. The world outside is a namespace of this test. */
import "../harness/own-namespace.ts";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  EgressMode,
  NetworkMode,
  NetworkProtocol,
  type NetworkSpecSchema,
  type SandboxStatus,
} from "@paddock/protocol";
import { buildNetprobe, Namespace } from "../../libs/network/src/testing/index.ts";
import { serve } from "../harness/container-server.ts";
import { exec } from "../harness/exec.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

const run = promisify(execFile);

const WORLD = "198.51.100.2";
const WORLD6 = "2001:db8::2";
const PRIVATE = "192.168.77.1";
const HOST = "198.51.100.1";

let stack: Stack;
let outside: Namespace;
const resources = new AsyncDisposableStack();

const shell = async (script: string): Promise<string> => (await run("bash", ["-euc", script])).stdout;

before(async () => {
  const netprobe = resources.use(await buildNetprobe());
  outside = resources.use(await Namespace.create());
  await shell(`
    ip link add uplink mtu 1400 type veth peer name eth0 mtu 1400 netns ${outside.pid}
    ip addr add ${HOST}/24 dev uplink; ip addr add 2001:db8::1/64 dev uplink nodad; ip link set uplink up
    ip route add default via ${WORLD}; ip -6 route add default via 2001:db8::2`);
  await outside.shell(`
    ip addr add ${WORLD}/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad
    ip addr add ${PRIVATE}/24 dev eth0; ip link set eth0 up`);
  resources.use(await outside.start(netprobe.path, "echo", "7000"));
  stack = resources.use(await Stack.start({ PADDOCK_NETWORK: "on" }));
});

after(() => resources.disposeAsync());

async function runSandbox(sandboxId: string, network: MessageInitShape<typeof NetworkSpecSchema> = {}) {
  const image = await stack.tinyImage();
  const spec = { containers: [{ containerId: "c1", image, process: idle }], network };
  const { sandbox } = await stack.client.sandboxes.runSandbox(
    { requestId: randomUUID(), sandboxId, spec },
    { deadline: inSeconds(90) },
  );
  assert.ok(sandbox?.status !== undefined);
  return sandbox.status;
}

/** Addresses without prefix lengths. */
const addressesOf = ({ network }: SandboxStatus): readonly string[] =>
  (network?.interfaces ?? []).flatMap(({ addresses }) => addresses).map((each) => each.split("/")[0] ?? "");

const remove = (sandboxId: string) =>
  stack.client.sandboxes.deleteSandbox(
    { requestId: randomUUID(), sandboxId, force: true },
    { deadline: inSeconds(60) },
  );

/** A server's answer to a line from a container; empty if the server is not reachable. */
async function askFrom(sandboxId: string, host: string, port = 7000): Promise<string> {
  const script = `echo hello | timeout 5 nc -w 3 ${host} ${port} || true`;
  const { stdout } = await exec(stack.client, ["sh", "-c", script], { sandboxId, containerId: "c1" });
  return stdout.trim();
}

const inContainer = async (sandboxId: string, script: string) =>
  (await exec(stack.client, ["sh", "-c", script], { sandboxId, containerId: "c1" })).stdout;

const serveHello = (sandboxId: string, port: number) =>
  serve(stack.client, { sandboxId, containerId: "c1" }, port, "echo hello");

test("a container reaches the world by IPv4 and IPv6, and no private address, no host and no neighbour", async () => {
  const addresses = addressesOf(await runSandbox("one"));
  const [neighbour = ""] = addressesOf(await runSandbox("two"));
  const shown = await inContainer("one", "ip addr show eth0");
  for (const address of addresses) assert.ok(shown.includes(`${address}/`), shown);
  assert.match(shown, /mtu 1400/);
  assert.equal(await askFrom("one", WORLD), "hello");
  assert.equal(await askFrom("one", WORLD6), "hello");
  assert.equal(await askFrom("one", PRIVATE), "");
  assert.equal(await askFrom("one", HOST, 22), "");
  assert.equal(await askFrom("one", neighbour), "");
  const { packets, forgedPackets } = await stack.client.sandboxes.listRefusedPackets({ sandboxId: "one" });
  const refused = packets.map(({ destination, port }) => `${destination} ${port}`).sort();
  assert.deepEqual(refused, [`${neighbour} 7000`, `${PRIVATE} 7000`, `${HOST} 22`].sort());
  assert.equal(forgedPackets, 0n);
  const { stats } = await stack.client.sandboxes.getSandboxStats({ sandboxId: "one" });
  const [{ host, guest } = {}] = stats?.interfaces ?? [];
  assert.ok((host?.sentBytes ?? 0n) > 0n && (guest?.sentBytes ?? 0n) > 0n);
  await remove("two");
});

test("a change of policy is in force when the call returns", async () => {
  const change = (otherwise: EgressMode) =>
    stack.client.sandboxes.updateNetwork({
      requestId: randomUUID(),
      sandboxId: "one",
      policy: { otherwise },
    });
  await change(EgressMode.OPEN);
  assert.equal(await askFrom("one", PRIVATE), "hello");
  await change(EgressMode.NONE);
  assert.equal(await askFrom("one", WORLD), "");
  await change(EgressMode.PUBLIC);
  assert.equal(await askFrom("one", WORLD), "hello");
});

test("a sandbox keeps its network while the daemon is killed, and when it is stopped and started", async () => {
  await stack.killNode();
  assert.match(await shell("ip -br link"), /paddock0-2/);
  await stack.startNode();
  assert.equal(await askFrom("one", WORLD), "hello");
  const { sandboxes } = stack.client;
  await sandboxes.stopSandbox({ requestId: randomUUID(), sandboxId: "one" }, { deadline: inSeconds(60) });
  assert.doesNotMatch(await shell("ip -br link"), /paddock0-/);
  await sandboxes.startSandbox({ requestId: randomUUID(), sandboxId: "one" }, { deadline: inSeconds(90) });
  assert.equal(await askFrom("one", WORLD), "hello");
  await remove("one");
});

test("two sandboxes can talk while each of them names the other", async () => {
  const [one = ""] = addressesOf(await runSandbox("one", { peers: ["two"] }));
  const [two = ""] = addressesOf(await runSandbox("two"));
  for (const id of ["one", "two"]) await serveHello(id, 7000);
  const name = (sandboxId: string, ...sandboxIds: string[]) =>
    stack.client.sandboxes.updateNetwork({ requestId: randomUUID(), sandboxId, peers: { sandboxIds } });
  assert.equal(await askFrom("one", two), "");
  await name("two", "one");
  assert.equal(await askFrom("one", two), "hello");
  assert.equal(await askFrom("two", one), "hello");
  await name("one");
  assert.equal(await askFrom("two", one), "");
  for (const id of ["one", "two"]) await remove(id);
  assert.doesNotMatch(await shell("nft list set inet paddock0 peers4"), /elements/);
});

test("a published port is reached from outside, on a port that the status shows", async () => {
  const status = await runSandbox("web", {
    publishedPorts: [{ guestPort: 80 }, { guestPort: 53, protocol: NetworkProtocol.UDP, hostPort: 5353 }],
  });
  const [tcp, udp] = status.network?.publishedPorts ?? [];
  assert.ok(tcp !== undefined && tcp.hostPort > 0);
  assert.equal(udp?.hostPort, 5353);
  await serveHello("web", 80);
  const answer = `timeout 5 bash -c 'exec 3<>/dev/tcp/${HOST}/${tcp.hostPort}; head -c 6 <&3'`;
  assert.equal(await outside.shell(answer), "hello\n");
  assert.equal(await shell(answer.replace(HOST, "127.0.0.1")), "hello\n");
  const { network } = await stack.client.sandboxes.updateNetwork({
    requestId: randomUUID(),
    sandboxId: "web",
    publishedPorts: { ports: [{ guestPort: 80, hostPort: 8080 }] },
  });
  assert.deepEqual(
    network?.publishedPorts.map(({ hostPort }) => hostPort),
    [8080],
  );
  assert.equal(await outside.shell(answer.replace(`${tcp.hostPort}`, "8080")), "hello\n");
  await assert.rejects(outside.shell(answer));
  await remove("web");
});

test("an egress mode of none lets nothing out, and a network mode of none has no interface", async () => {
  await runSandbox("closed", { policy: { otherwise: EgressMode.NONE } });
  assert.equal(await askFrom("closed", WORLD), "");
  await remove("closed");
  const status = await runSandbox("alone", { mode: NetworkMode.NONE });
  assert.equal(status.network, undefined);
  assert.doesNotMatch(await inContainer("alone", "ip addr"), /eth0/);
  await remove("alone");
});

test("after the last sandbox and the daemon the host is as before", async () => {
  await stack.stopNode();
  assert.equal(await shell("nft list ruleset"), "");
  assert.deepEqual((await shell("ip -br link | cut -d' ' -f1 | cut -d@ -f1 | sort")).trim().split("\n"), [
    "lo",
    "uplink",
  ]);
  assert.match(await shell("sysctl net.ipv4.conf.uplink.forwarding"), /= 0/);
  await stack.startNode();
});
