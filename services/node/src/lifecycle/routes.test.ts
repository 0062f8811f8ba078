import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { agentpb, type RouteSchema } from "@paddock/protocol";
import { guestRefusal } from "../testing/guest-refusal.ts";
import { addition, errorOf, networkedSandbox, removal } from "../testing/networked-node.ts";
import { sandboxIn, type TestNode } from "../testing/test-node.ts";

type Wanted = MessageInitShape<typeof RouteSchema>;

const update = (routes: Wanted[]) => ({ case: "updateRoutes", value: { routes } }) as const;

const GATEWAY = { gateway: "10.88.0.1", interfaceId: "eth0", onlink: true };

async function set(node: TestNode, routes: Wanted[]): Promise<void> {
  const outcome = await node.ask(update(routes));
  assert.ok(outcome.case === "updateRoutes", errorOf(outcome));
  assert.equal(outcome.value.routes.length, routes.length);
}

/** Destinations of the declared and of the guest's routes, and the differences. */
async function listed(node: TestNode) {
  const outcome = await node.ask({ case: "listRoutes", value: {} });
  assert.ok(outcome.case === "listRoutes", errorOf(outcome));
  const { routes, reported, drift } = outcome.value;
  const destinations = (all: readonly { destination: string }[]) => all.map(({ destination }) => destination);
  return {
    routes: destinations(routes),
    reported: destinations(reported),
    drift: drift.map(({ subject }) => subject),
  };
}

const same = (...destinations: string[]) => ({ routes: destinations, reported: destinations, drift: [] });

const DEFAULT = same("0.0.0.0/0", "::/0");

test("a sandbox has a default route for each address family until other routes are declared", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  assert.deepEqual(await listed(node), DEFAULT);
  await set(node, [
    { ...GATEWAY, destination: "default", metric: 7, source: "10.88.0.2" },
    { destination: "203.0.113.0/24", interfaceId: "eth0" },
    { destination: "198.51.100.0/24", gateway: "203.0.113.1", interfaceId: "eth0" },
    { destination: "2001:db8::/32", gateway: "fd70:88::1", interfaceId: "eth0", onlink: true },
  ]);
  const after = same("0.0.0.0/0", "203.0.113.0/24", "198.51.100.0/24", "2001:db8::/32");
  assert.deepEqual(await listed(node), after);
  const told = node.guest.network.routes.map(({ metric, scope, source }) => [metric, scope, source]);
  const { GLOBAL, LINK } = agentpb.RouteScope;
  assert.deepEqual(told, [
    [7, GLOBAL, "10.88.0.2"],
    [0, LINK, ""],
    [0, GLOBAL, ""],
    [1024, GLOBAL, ""],
  ]);
  await set(node, []);
  assert.deepEqual(await listed(node), same());
});

test("declared routes are kept across a crash, and a stop and a start", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  await set(node, [{ ...GATEWAY, destination: "192.0.2.0/24" }]);
  await node.crash();
  assert.deepEqual(await listed(node), same("192.0.2.0/24"));
  sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  assert.deepEqual((await listed(node)).routes, ["192.0.2.0/24"]);
  node.guest.reboot();
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  assert.deepEqual(await listed(node), same("192.0.2.0/24"));
});

test("an update of routes that the guest refuses or a crash interrupts changes nothing", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  const routes = update([{ ...GATEWAY, destination: "192.0.2.0/24" }]);
  let calls = 0;
  node.guest.onCall = async (name) => {
    if (name === "updateRoutes" && calls++ === 0)
      throw guestRefusal(agentpb.FailureReason.GATEWAY_UNREACHABLE, "no way to 10.88.0.1");
  };
  assert.match(errorOf(await node.ask(routes)), /no way to 10\.88\.0\.1/);
  assert.deepEqual([await listed(node), node.operations()], [DEFAULT, []]);
  const reached = Promise.withResolvers<void>();
  node.guest.onCall = async (name) => {
    if (name !== "updateRoutes") return;
    reached.resolve();
    await node.forever;
  };
  void node.ask(routes);
  await reached.promise;
  node.guest.onCall = async () => undefined;
  await node.crash();
  assert.deepEqual([await listed(node), node.operations()], [DEFAULT, []]);
});

test("the routes of a removed interface are removed with it, and others stay", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  assert.equal((await node.ask(addition({ interfaceId: "lan" }))).case, "addInterface");
  await set(node, [
    { ...GATEWAY, destination: "default" },
    { ...GATEWAY, destination: "192.0.2.0/24", interfaceId: "lan" },
  ]);
  assert.equal((await node.ask(removal("lan"))).case, "removeInterface");
  assert.deepEqual(await listed(node), same("0.0.0.0/0"));
});

const tunnel = create(agentpb.RouteSchema, { destination: "10.9.0.0/16", interface: "wg0" });

test("differences in the guest are shown, and corrected when the node connects to it or routes are declared", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  const spoil = () => {
    const stray = create(agentpb.RouteSchema, { destination: "192.0.2.0/24", interface: "eth0" });
    const [first] = node.guest.network.routes;
    node.guest.network.routes = [...(first === undefined ? [] : [first]), stray, tunnel];
  };
  spoil();
  assert.deepEqual(await listed(node), {
    routes: ["0.0.0.0/0", "::/0"],
    reported: ["0.0.0.0/0", "192.0.2.0/24"],
    drift: ["route ::/0 metric 1024", "route 192.0.2.0/24 metric 0"],
  });
  const configured = Promise.withResolvers<void>();
  node.guest.onCall = async (name) => {
    if (name === "configureSandbox") configured.resolve();
  };
  node.guest.dropLink();
  await configured.promise;
  assert.deepEqual(await listed(node), DEFAULT);
  spoil();
  await set(node, [{ ...GATEWAY, destination: "default" }]);
  assert.deepEqual(await listed(node), same("0.0.0.0/0"));
  assert.ok(node.guest.network.routes.some(({ interface: name }) => name === "wg0"));
});

test("a resume sets the declared routes, and keeps those of a tunnel in the guest", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  node.guest.network.routes = [tunnel];
  sandboxIn(await node.ask({ case: "pauseSandbox", value: {} }));
  const configured = Promise.withResolvers<void>();
  node.guest.onCall = async (name) => {
    if (name === "configureSandbox") configured.resolve();
  };
  sandboxIn(await node.ask({ case: "resumeSandbox", value: {} }));
  await configured.promise;
  assert.deepEqual(await listed(node), DEFAULT);
  assert.ok(node.guest.network.routes.some(({ interface: name }) => name === "wg0"));
});

test("an address that an interface has lost in the guest is shown, and set again after a crash of the daemon", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  const [mac, found] = [...node.guest.network.interfaces][0] ?? assert.fail("the guest has an interface");
  node.guest.network.interfaces.set(mac, { ...found, addresses: ["10.88.0.2/32"] });
  const shown = await node.ask({ case: "listInterfaces", value: {} });
  assert.ok(shown.case === "listInterfaces");
  const [drift] = shown.value.drift;
  assert.equal(drift?.subject, "interface eth0");
  assert.match(drift?.declared ?? "", /fd70:88::2\/128/);
  assert.doesNotMatch(drift?.reported ?? "", /fd70/);
  const configured = Promise.withResolvers<void>();
  node.guest.onCall = async (name) => {
    if (name === "configureSandbox") configured.resolve();
  };
  await node.crash();
  await configured.promise;
  const after = await node.ask({ case: "listInterfaces", value: {} });
  assert.ok(after.case === "listInterfaces");
  assert.deepEqual(after.value.drift, []);
  assert.deepEqual(node.guest.network.interfaces.get(mac)?.addresses, ["10.88.0.2/32", "fd70:88::2/128"]);
});

const OWN = { interfaceId: "eth0" };
const REFUSED: readonly [string, Wanted[], RegExp][] = [
  ["a destination with host bits", [{ ...GATEWAY, destination: "10.0.0.1/8" }], /bits set after its prefix/],
  ["a range of groups", [{ ...OWN, destination: "224.0.0.0/8" }], /range of groups/],
  ["an unknown interface", [{ destination: "192.0.2.0/24", interfaceId: "lan" }], /no interface lan/],
  [
    "an unreachable gateway",
    [{ ...OWN, destination: "192.0.2.0/24", gateway: "10.88.0.1" }],
    /must be on the link/,
  ],
  ["a gateway of the other family", [{ ...GATEWAY, destination: "2001:db8::/32" }], /IPv6 address/],
  [
    "an own address as gateway",
    [{ ...GATEWAY, destination: "192.0.2.0/24", gateway: "10.88.0.2" }],
    /of the sandbox/,
  ],
  [
    "a source that is not the interface's",
    [{ ...OWN, destination: "192.0.2.0/24", source: "10.88.0.3" }],
    /address of the interface eth0/,
  ],
  ["onlink without a gateway", [{ ...OWN, destination: "192.0.2.0/24", onlink: true }], /without a gateway/],
  ["a scope that a gateway contradicts", [{ ...GATEWAY, destination: "192.0.2.0/24", scope: 2 }], /scope/],
  [
    "two routes to one destination",
    [
      { ...GATEWAY, destination: "::/0", gateway: "fd70:88::1" },
      { ...GATEWAY, destination: "::/0", gateway: "fd70:88::1", metric: 1024 },
    ],
    /second route to ::\/0 with metric 1024/,
  ],
];

for (const [what, routes, message] of REFUSED)
  test(`routes with ${what} are refused, and nothing changes`, async () => {
    const { node: started } = await networkedSandbox();
    await using node = started;
    assert.match(errorOf(await node.ask(update(routes))), message);
    assert.deepEqual([await listed(node), node.operations()], [DEFAULT, []]);
  });

test("a gateway on the link by another route is accepted only if that route does not have global scope", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  const behind = { ...OWN, destination: "198.51.100.0/24", gateway: "203.0.113.1" };
  const link = { ...OWN, destination: "203.0.113.0/24" };
  await set(node, [link, behind]);
  assert.match(errorOf(await node.ask(update([{ ...link, scope: 1 }, behind]))), /must be on the link/);
});
