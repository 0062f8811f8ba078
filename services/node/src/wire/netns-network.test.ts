import assert from "node:assert/strict";
import { test } from "node:test";
import type { NetnsLink } from "@paddock/network";
import { agentpb } from "@paddock/protocol";
import { mirrorCard, netnsConfig, netnsRoutes, placedLinks } from "./netns-network.ts";

const link = (name: string, index: number): NetnsLink => ({
  name,
  index,
  mac: `02:00:00:00:00:${String(index).padStart(2, "0")}`,
  mtu: 1400,
  addresses: [`10.9.${index}.2/24`],
});

test("cards have the order in which the guest's kernel names them, and only the first has no port", () => {
  const placed = placedLinks({
    links: [link("net1", 2), link("eth1", 3), link("eth0", 4), link("eth10", 5)],
  });
  assert.deepEqual(
    placed.map(({ name, port }) => `${name} ${port}`),
    ["eth0 undefined", "eth1 0", "eth10 1", "net1 2"],
  );
  assert.deepEqual(placed.map(mirrorCard).slice(0, 2), [
    { kind: "interface", id: "netns4", mac: "02:00:00:00:00:04", tap: "paddock-4" },
    { kind: "interface", id: "netns3", mac: "02:00:00:00:00:03", tap: "paddock-3", port: 0 },
  ]);
});

test("a guest gets the addresses, routes and neighbours of the links", () => {
  const config = netnsConfig({
    name: "pod",
    inode: "1",
    links: [link("eth0", 4)],
    routes: [
      {
        ...{ link: "eth0", destination: "0.0.0.0/0", gateway: "10.9.4.1", source: undefined },
        ...{ metric: 50, scope: "global", onlink: true },
      },
    ],
    neighbours: [{ link: "eth0", address: "10.9.4.1", mac: "02:00:00:00:00:01" }],
  });
  const [card] = config.interfaces;
  assert.deepEqual(
    [card?.name, card?.permanentMac, card?.addresses],
    ["eth0", "02:00:00:00:00:04", ["10.9.4.2/24"]],
  );
  const [route] = config.routes;
  assert.deepEqual(
    [route?.interface, route?.gateway, route?.source, route?.metric, route?.scope, route?.onlink],
    ["eth0", "10.9.4.1", "", 50, agentpb.RouteScope.GLOBAL, true],
  );
  assert.deepEqual(
    config.neighbours.map(({ interface: name, address }) => [name, address]),
    [["eth0", "10.9.4.1"]],
  );
});

test("routes are shown by the names of the links", () => {
  const route = { destination: "10.0.0.0/8", metric: 0, scope: "link", onlink: false } as const;
  const routes = [{ ...route, link: "eth0", gateway: undefined, source: "10.9.4.2" }];
  assert.deepEqual(netnsRoutes({ name: "pod", inode: "1", links: [], routes, neighbours: [] }), [
    { ...route, interfaceId: "eth0", gateway: "", source: "10.9.4.2" },
  ]);
});
