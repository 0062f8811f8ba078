import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress } from "./address.ts";
import { LeasePool } from "./lease-pool.ts";
import {
  gatewayOf,
  guestInterface,
  indexesOf,
  indexOfAddress,
  indexOfTap,
  planNetwork,
} from "./node-network.ts";

const settings = { bridge: "paddock0", mtu: 1400, v4: "10.88.0.0/29", v6: "fd70:88::/64" };
const network = planNetwork(settings);

test("a pool has no index for the network, the gateway and the broadcast address", () => {
  assert.deepEqual(indexesOf(network), { first: 2, last: 6 });
  const { v4, v6 } = gatewayOf(network);
  assert.deepEqual(
    [v4, v6].map((each) => each && formatAddress(each)),
    ["10.88.0.1", "fd70:88::1"],
  );
});

test("an index decides the addresses, the MAC address and the tap, and each of them tells the index", () => {
  const { tap, mac, v4, v6 } = guestInterface(network, 5);
  assert.deepEqual(
    [tap, mac, formatAddress(v4), v6 && formatAddress(v6)],
    ["paddock0-5", "02:50:0a:58:00:05", "10.88.0.5", "fd70:88::5"],
  );
  assert.deepEqual(
    [indexOfTap(network, tap), indexOfAddress(network, "10.88.0.5"), indexOfAddress(network, "fd70:88::5")],
    [5, 5, 5],
  );
  for (const name of ["paddock0-1", "paddock0-7", "paddock0-05", "paddock0", "paddock1-5", "paddock0-5x"])
    assert.equal(indexOfTap(network, name), undefined, name);
});

test("every lease is another index, until the pool is exhausted", () => {
  const pool = new LeasePool(network);
  assert.deepEqual(
    Array.from({ length: 5 }, () => pool.lease()),
    [2, 3, 4, 5, 6],
  );
  assert.throws(() => pool.lease(), { name: "NetworkError", kind: "exhausted" });
  pool.release(4);
  pool.release(4);
  assert.equal(pool.lease(), 4);
});

test("an index is used again as late as possible", () => {
  const pool = new LeasePool(network);
  pool.release(pool.lease());
  assert.equal(pool.lease(), 3);
});

test("an index that is in use cannot be leased by its number", () => {
  const pool = new LeasePool(network);
  pool.leaseIndex(2);
  assert.throws(() => pool.leaseIndex(2), { name: "NetworkError", kind: "taken" });
  assert.equal(pool.lease(), 3);
});

test("a thousand leases are taken and given back", () => {
  const pool = new LeasePool(planNetwork({ ...settings, v4: "10.88.0.0/16" }));
  const leases = Array.from({ length: 1000 }, () => pool.lease());
  assert.equal(new Set(leases).size, 1000);
  for (const index of leases) pool.release(index);
  assert.equal(pool.taken, 0);
});

const wrong: readonly [string, Partial<Parameters<typeof planNetwork>[0]>][] = [
  ["a pool that is too small", { v4: "10.88.0.0/30" }],
  ["a pool that is too large", { v4: "10.0.0.0/8" }],
  ["a pool with host bits", { v4: "10.88.0.1/16" }],
  ["an IPv6 pool as IPv4", { v4: "fd70::/64" }],
  ["an IPv6 pool that is too small", { v6: "fd70::/120" }],
  ["a pool that overlaps a range in use", { used: ["10.0.0.0/8"] }],
  ["an IPv6 pool that overlaps a range in use", { used: ["fd70:88::/96"] }],
  ["a bridge's name that is too long", { bridge: "paddock000" }],
  ["a bridge's name with other characters", { bridge: "pad-dock" }],
  ["an MTU below that of IPv6", { mtu: 1279 }],
];

for (const [name, change] of wrong)
  test(`${name} is refused`, () => {
    assert.throws(() => planNetwork({ ...settings, ...change }), { name: "NetworkError", kind: "invalid" });
  });

test("an address outside of the pool, and the gateway's, belong to no guest", () => {
  for (const text of ["10.88.0.1", "10.88.0.7", "10.89.0.2", "fd70:88::1", "fd71::5", "hello"])
    assert.throws(() => indexOfAddress(network, text), { name: "NetworkError", kind: "invalid" }, text);
});
