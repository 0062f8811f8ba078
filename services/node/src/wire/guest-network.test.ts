import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { planNetwork } from "@paddock/network";
import { SandboxSpecSchema } from "@paddock/protocol";
import { NO_NETWORK } from "../record/network-record.ts";
import { guestDns, guestNetwork } from "./guest-network.ts";
import { interfacePlans } from "./network-rules.ts";

const network = planNetwork({ bridge: "paddock0", mtu: 1400, v4: "10.88.0.0/16", v6: "fd70:88::/64" });
const side = { network, resolver: { nameservers: ["192.0.2.53"], searches: ["example.org"] } };
const own = {
  interfaces: [{ interfaceId: "eth0", name: "eth0", index: 5, mac: "02:50:0a:58:00:05" }],
  published: [{ hostAddress: "", protocol: "tcp" as const, hostPort: 8080, guestPort: 80 }],
};

test("a guest has its addresses without subnets, a default route, and the MAC address of its gateway", () => {
  const { interfaces, routes, neighbours } = guestNetwork({ network: own }, side);
  assert.deepEqual(
    interfaces.map(({ permanentMac, name, mtu, addresses }) => ({ permanentMac, name, mtu, addresses })),
    [
      {
        permanentMac: "02:50:0a:58:00:05",
        name: "eth0",
        mtu: 1400,
        addresses: ["10.88.0.5/32", "fd70:88::5/128"],
      },
    ],
  );
  assert.deepEqual(
    routes.map(({ destination, gateway, source, onlink }) => [destination, gateway, source, onlink]),
    [
      ["0.0.0.0/0", "10.88.0.1", "10.88.0.5", true],
      ["::/0", "fd70:88::1", "fd70:88::5", true],
    ],
  );
  assert.deepEqual(
    neighbours.map(({ interface: name, address, mac }) => [name, address, mac]),
    [
      ["eth0", "10.88.0.1", "02:50:0a:58:00:01"],
      ["eth0", "fd70:88::1", "02:50:0a:58:00:01"],
    ],
  );
});

test("a sandbox without a network has no interface, and only the name servers of its spec", () => {
  assert.deepEqual(guestNetwork({ network: NO_NETWORK }, side).interfaces, []);
  assert.deepEqual(guestDns({ network: NO_NETWORK, spec: create(SandboxSpecSchema) }, side).nameservers, []);
});

test("a sandbox has its node's name servers, unless its spec names others", () => {
  const dns = (nameservers: string[]) =>
    guestDns({ network: own, spec: create(SandboxSpecSchema, { dns: { nameservers } }) }, side);
  assert.deepEqual(dns([]), { nameservers: ["192.0.2.53"], searches: ["example.org"], options: [] });
  assert.deepEqual(dns(["192.0.2.1"]), { nameservers: ["192.0.2.1"], searches: [], options: [] });
});

test("a port published on all addresses leads to both addresses of the guest, and a rate of 0 means no limit", () => {
  const spec = create(SandboxSpecSchema, {
    network: { bandwidth: { sendBytesPerSecond: 0n, receiveBytesPerSecond: 20_000n } },
  });
  const [plan] = interfacePlans({ network: own, spec }, network, ["192.0.2.53"]);
  assert.deepEqual(
    plan?.rules.published.map(({ family, hostPort }) => [family, hostPort]),
    [
      [4, 8080],
      [6, 8080],
    ],
  );
  assert.deepEqual([plan?.rules.sendBytesPerSecond, plan?.receiveBytesPerSecond], [undefined, 20_000]);
  assert.deepEqual(plan?.rules.policy, { kind: "public" });
});
