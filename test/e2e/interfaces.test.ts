/** Interfaces and routes of a running sandbox, with a world outside that is a namespace of this test. */
import "../harness/own-namespace.ts";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RouteSchema } from "@paddock/protocol";
import { buildNetprobe, Namespace } from "../../libs/network/src/testing/index.ts";
import { exec } from "../harness/exec.ts";
import { INTERFACE_POINTS, REMOVAL_POINTS, ROUTES_POINTS } from "../harness/failpoints.ts";
import { interrupted } from "../harness/interrupted.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";

const run = promisify(execFile);

const ROUNDS = 20;
const WORLD = "198.51.100.2";
/** Reached by the interface that is added. */
const FAR = "198.51.100.3";
const sandboxId = "s1";

let stack: Stack;
const resources = new AsyncDisposableStack();

const shell = async (script: string): Promise<string> => (await run("bash", ["-euc", script])).stdout;

before(async () => {
  const netprobe = resources.use(await buildNetprobe());
  const outside = resources.use(await Namespace.create());
  await shell(`
    ip link add uplink mtu 1400 type veth peer name eth0 mtu 1400 netns ${outside.pid}
    ip addr add 198.51.100.1/24 dev uplink; ip link set uplink up; ip route add default via ${WORLD}`);
  await outside.shell(
    `ip addr add ${WORLD}/24 dev eth0; ip addr add ${FAR}/24 dev eth0; ip link set eth0 up`,
  );
  resources.use(await outside.start(netprobe.path, "echo", "7000"));
  stack = resources.use(await Stack.start({ PADDOCK_NETWORK: "on" }, { failpoints: true }));
  const spec = { containers: [{ containerId: "c1", image: await stack.tinyImage(), process: idle }] };
  await stack.client.sandboxes.runSandbox(
    { requestId: randomUUID(), sandboxId, spec },
    { deadline: inSeconds(90) },
  );
});

after(() => resources.disposeAsync());

const soon = () => ({ deadline: inSeconds(60) });
const id = () => ({ requestId: randomUUID(), sandboxId });

const inContainer = async (script: string): Promise<string> =>
  (await exec(stack.client, ["sh", "-c", script], { sandboxId, containerId: "c1" })).stdout;

const add = () => stack.client.sandboxes.addInterface({ ...id(), interface: { interfaceId: "lan" } }, soon());
const remove = () => stack.client.sandboxes.removeInterface({ ...id(), interfaceId: "lan" }, soon());
const setRoutes = (routes: MessageInitShape<typeof RouteSchema>[]) =>
  stack.client.sandboxes.updateRoutes({ ...id(), routes }, soon());

/** The default route out, and a route by the added interface. */
async function wantedRoutes() {
  const { routes } = await stack.client.sandboxes.listRoutes({ sandboxId });
  const out =
    routes.find(({ destination }) => destination === "0.0.0.0/0") ?? assert.fail("no default route");
  const { gateway, onlink } = out;
  return { out, byLan: { gateway, onlink, destination: `${FAR}/32`, interfaceId: "lan", metric: 5 } };
}

/** Taps and rules of the host, and links and routes of the guest. */
async function everything() {
  const taps = (await shell("ip -br link")).match(/paddock0-\d+/g) ?? [];
  const inRules = (await shell("nft list ruleset")).match(/paddock0-\d+/g) ?? [];
  const guest = await inContainer("ls /sys/class/net; ip route; ip -6 route | grep -v fe80");
  return { taps, inRules: [...new Set(inRules)], guest };
}

/** Whether the guest has what is declared, and the bytes that the host has seen of the added interface. */
async function sentByLan(): Promise<bigint> {
  const { drift, guestAnswered } = await stack.client.sandboxes.listInterfaces({ sandboxId });
  assert.deepEqual([drift, guestAnswered], [[], true]);
  const { stats } = await stack.client.sandboxes.getSandboxStats({ sandboxId });
  const lan = stats?.interfaces.find(({ interfaceId }) => interfaceId === "lan");
  return lan?.host?.sentBytes ?? 0n;
}

const askFar = async () => (await inContainer(`echo hello | timeout 20 nc -w 10 ${FAR} 7000 || true`)).trim();

/** Lines that a connection which is open all the time has brought back. */
const echoed = async () => Number(await inContainer("wc -l </tmp/echoed"));

test("interfaces and routes come and go under traffic, also when the daemon is killed in each step", async () => {
  const { out, byLan } = await wantedRoutes();
  await setRoutes([out]);
  const before = await everything();
  await inContainer(
    `{ (while :; do echo hello; sleep 0.2; done) | nc ${WORLD} 7000 >/tmp/echoed; } </dev/null >/dev/null 2>&1 &`,
  );
  const kills = [...INTERFACE_POINTS, ...ROUTES_POINTS, ...REMOVAL_POINTS];
  for (let round = 0; round < ROUNDS; round++) {
    const point = kills[round] ?? "";
    if (INTERFACE_POINTS.includes(point)) {
      await interrupted(stack, point, "die", add);
      assert.deepEqual(await everything(), before, point);
    }
    const { interface: added } = await add();
    assert.equal(added?.name, "net1");
    if (ROUTES_POINTS.includes(point)) {
      await interrupted(stack, point, "die", () => setRoutes([out, byLan]));
      assert.ok(!(await everything()).guest.includes(FAR), point);
    }
    await setRoutes([out, byLan]);
    const sent = await sentByLan();
    assert.equal(await askFar(), "hello", `in round ${round}`);
    assert.ok((await sentByLan()) > sent, `it does not leave by the added interface in round ${round}`);
    const lines = await echoed();
    if (REMOVAL_POINTS.includes(point)) await interrupted(stack, point, "die", remove);
    else await remove();
    assert.deepEqual(await everything(), before, `after round ${round} ${point}`);
    await until(async () => (await echoed()) > lines, "the open connection still carries lines");
  }
});

test("an interface and routes are kept when the sandbox is stopped and started, and when the daemon is killed", async () => {
  const { out, byLan } = await wantedRoutes();
  await add();
  await setRoutes([out, byLan]);
  const { sandboxes } = stack.client;
  const declared = async () => {
    const { interfaces } = await sandboxes.listInterfaces({ sandboxId });
    const { routes, drift } = await sandboxes.listRoutes({ sandboxId });
    return { interfaces, routes, drift };
  };
  const before = await declared();
  await stack.killNode();
  await stack.startNode();
  assert.deepEqual(await declared(), before);
  await sandboxes.stopSandbox(id(), soon());
  assert.deepEqual((await shell("ip -br link")).match(/paddock0-/g), null);
  await sandboxes.startSandbox(id(), { deadline: inSeconds(90) });
  assert.deepEqual(await declared(), before);
  const sent = await sentByLan();
  assert.equal(await askFar(), "hello");
  assert.ok((await sentByLan()) > sent);
  await remove();
  await sandboxes.deleteSandbox({ ...id(), force: true }, soon());
  await stack.stopNode();
  assert.equal(await shell("nft list ruleset"), "");
  await stack.startNode();
});
