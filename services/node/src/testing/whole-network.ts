/** A sandbox's whole network in a test: on the host, in the VM, in the guest and in the record. */
import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { NetworkInterfaceSchema } from "@paddock/protocol";
import type { FakeNetwork } from "./fake-network.ts";
import { addition, errorOf, removal } from "./networked-node.ts";
import type { TestNode } from "./test-node.ts";

export type Wanted = MessageInitShape<typeof NetworkInterfaceSchema>;

/** The sandbox's whole network: on the host, in the VM, in the guest and in the record. */
export async function everywhere(node: TestNode, network: FakeNetwork) {
  const listed = await node.ask({ case: "listInterfaces", value: {} });
  assert.ok(listed.case === "listInterfaces", errorOf(listed));
  const { devices, linksUp } = node.machines.only;
  return {
    taps: [...network.connected.keys()].sort(),
    cards: [...devices.values()].filter(({ kind }) => kind === "interface").map(({ id }) => id),
    linksUp: [...linksUp].sort(),
    guest: node.guest.network.names,
    listed: listed.value.interfaces.map(({ interfaceId, name, addresses }) => [
      interfaceId,
      name,
      ...addresses,
    ]),
    drift: listed.value.drift.map(({ subject }) => subject),
    operations: node.operations(),
  };
}

export const ALONE = {
  taps: ["paddock0-2"],
  cards: ["net0"],
  linksUp: ["net0"],
  guest: ["eth0"],
  listed: [["eth0", "eth0", "10.88.0.2/32", "fd70:88::2/128"]],
  drift: [],
  operations: [],
};

export const WITH_LAN = {
  taps: ["paddock0-2", "paddock0-3"],
  cards: ["net0", "net1"],
  linksUp: ["net0", "net1"],
  guest: ["eth0", "net1"],
  listed: [...ALONE.listed, ["lan", "net1", "10.88.0.3/32", "fd70:88::3/128"]],
  drift: [],
  operations: [],
};

export async function add(node: TestNode, wanted: Wanted = { interfaceId: "lan" }) {
  const outcome = await node.ask(addition(wanted));
  assert.ok(outcome.case === "addInterface", errorOf(outcome));
  return outcome.value.interface ?? assert.fail("no interface");
}

export async function remove(node: TestNode, interfaceId = "lan") {
  const outcome = await node.ask(removal(interfaceId));
  assert.equal(outcome.case, "removeInterface", errorOf(outcome));
}
