/**
 * Adds an interface to a sandbox whose VM runs: creates the tap and its rules, plugs in the card, then configures the guest.
 */
import type { Step } from "@paddock/lifecycle";
import type { InterfaceRecord } from "../record/network-record.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { hostInterface } from "../resources/release-sandbox.ts";
import { applyNetwork } from "../watch/guest-network.ts";
import { guestCards } from "../wire/guest-network.ts";
import { cardId, networkCard } from "../wire/network-card.ts";
import { leaveGuest } from "./leave-guest.ts";
import { operation, type Work } from "./operation.ts";

/** Timeout of the guest's link, in ms. */
const GUEST_PATIENCE_MS = 30_000;

type InterfaceBirth = Work & { readonly interface: InterfaceRecord };

const withInterface = (record: SandboxRecord, added: InterfaceRecord): SandboxRecord => ({
  ...record,
  network: { ...record.network, interfaces: [...record.network.interfaces, added] },
});

export const INTERFACE_STEPS: readonly Step<InterfaceBirth>[] = [
  {
    name: "host-network",
    run: async ({ node, entry, interface: { interfaceId } }, signal) =>
      await node.network?.connect(hostInterface(node, entry.record, interfaceId), signal),
    undo: async ({ node, entry, interface: { interfaceId } }, signal) =>
      await node.network?.disconnect(hostInterface(node, entry.record, interfaceId), signal),
  },
  {
    name: "card",
    async run({ node, entry, interface: added }, signal) {
      const machine = entry.vm?.machine;
      if (machine === undefined || node.network === undefined)
        throw new Error("no machine to plug a card into");
      const card = guestCards(withInterface(entry.record, added), node.network.network).at(-1);
      if (card !== undefined) await machine.attach(networkCard(card), signal);
    },
    undo: async ({ entry, interface: added }, signal) =>
      await entry.vm?.machine.detach({ kind: "interface", id: cardId(added) }, signal),
  },
  {
    name: "guest-interface",
    async run({ node, entry, interface: added }, signal) {
      const { vm } = entry;
      if (vm === undefined) throw entry.lost;
      const client = await entry.agent.client({ signal, deadlineMs: GUEST_PATIENCE_MS });
      await applyNetwork(client, node, withInterface(entry.record, added), signal);
      await vm.machine.setLink(cardId(added), true, signal);
    },
    undo: ({ entry, interface: { mac } }, signal) => leaveGuest(entry, mac, signal),
  },
];

export const interfaceAddition = operation<InterfaceBirth>({
  name: "add-interface",
  steps: () => INTERFACE_STEPS,
  recovered: (work, note) => {
    if (note.kind !== "add-interface") return undefined;
    const { interfaceId } = note.interface;
    const isThere = work.entry.record.network.interfaces.some((each) => each.interfaceId === interfaceId);
    return isThere ? undefined : { ...work, interface: note.interface };
  },
});

/** Adds the interface; on failure nothing of it is left. Needs the lock. */
export async function addInterfaceEntry(birth: InterfaceBirth, signal: AbortSignal): Promise<void> {
  const { interface: added } = birth;
  await interfaceAddition.run(birth, {
    signal,
    note: { kind: "add-interface", interface: added },
    done: (record) => withInterface(record, added),
  });
}
