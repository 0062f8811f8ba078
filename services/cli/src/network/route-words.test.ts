import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { RouteSchema, RouteScope } from "@paddock/protocol";
import { parseRoutes, type RouteWords, routeText } from "./route-words.ts";

const route = (parts: Partial<RouteWords>): RouteWords => ({
  destination: "0.0.0.0/0",
  gateway: "",
  device: "",
  source: "",
  metric: 0,
  scope: RouteScope.UNSPECIFIED,
  onlink: false,
  ...parts,
});

test("routes are read as ip route reads them, each in one word or several", () => {
  const wanted = [
    route({ gateway: "10.213.0.1", device: "eth0" }),
    route({
      destination: "10.9.0.0/16",
      gateway: "10.213.0.7",
      device: "eth1",
      source: "10.213.0.2",
      metric: 100,
      scope: RouteScope.GLOBAL,
      onlink: true,
    }),
  ];
  const [first, second] = [
    "default via 10.213.0.1 dev eth0",
    "10.9.0.0/16 onlink via 10.213.0.7 dev eth1 src 10.213.0.2 metric 100 scope global",
  ];
  assert.deepEqual(parseRoutes([first, second]), wanted);
  assert.deepEqual(parseRoutes([...first.split(" "), ...second.split(" ")]), wanted);
  assert.deepEqual(parseRoutes([]), []);
});

test("default is of IPv6 with a gateway or a source of IPv6, and an address is a range of one", () => {
  assert.deepEqual(parseRoutes(["default via fe80::1 dev eth0 192.0.2.7 2001:DB8::7 scope link ::/0"]), [
    route({ destination: "::/0", gateway: "fe80::1", device: "eth0" }),
    route({ destination: "192.0.2.7/32" }),
    route({ destination: "2001:db8::7/128", scope: RouteScope.LINK }),
    route({ destination: "::/0" }),
  ]);
});

for (const { text, says } of [
  { text: "via 10.0.0.1", says: /there is no destination before "via"/ },
  { text: "default via", says: /there is nothing after "via"/ },
  { text: "default via gateway", says: /via: "gateway" is not an IP address/ },
  { text: "default via 10.0.0.1 via 10.0.0.2", says: /has "via" twice/ },
  { text: "default metric -1", says: /"-1" is not a number from 0 to 4294967295/ },
  { text: "default metric 4294967296", says: /is not a number/ },
  { text: "default scope site", says: /"site" is not a scope/ },
  { text: "10.0.0.1/8 dev eth0", says: /has bits set after its prefix/ },
  { text: "somewhere dev eth0", says: /is not a range/ },
  { text: "10.0.0.0/8 via fe80::1", says: /has fe80::1, which is of the other family/ },
  { text: "default via 10.0.0.1 src 2001:db8::1", says: /of the other family/ },
  { text: "10.0.0.0/8 table 7", says: /is not a range/ },
]) {
  test(`"${text}" is not a route`, () => {
    assert.throws(() => parseRoutes([text]), says);
  });
}

test("a route is printed in words that mean the same", () => {
  const text = "10.9.0.0/16 via 10.213.0.7 dev eth1 src 10.213.0.2 metric 100 scope global onlink";
  const [parsed] = parseRoutes([text]);
  assert.ok(parsed);
  const { device, ...parts } = parsed;
  assert.equal(routeText(create(RouteSchema, { ...parts, interfaceId: device })), text);
  assert.equal(
    routeText(create(RouteSchema, { destination: "0.0.0.0/0", gateway: "10.0.0.1", interfaceId: "eth0" })),
    "default via 10.0.0.1 dev eth0",
  );
});
