/**
 * Removes an interface from a sandbox whose VM runs: the guest takes it down, the card is unplugged, and the host's tap and
 * rules are removed.
 *
 * Once the guest has taken it down, a removal is finished and never undone, because the guest may release the card at any later
 * time. A failed removal is continued by the next call that adds or removes an interface, by the next start of the sandbox, and
 * by the next daemon. Each step may be repeated.
 */
import { PaddockError, withUnknownOutcome } from "@paddock/domain";
import type { Step } from "@paddock/lifecycle";
import { type InterfaceRecord, withoutInterface } from "../record/network-record.ts";
import { type Operation, withOperation, withoutOperation } from "../record/sandbox-record.ts";
import { hostInterface } from "../resources/release-sandbox.ts";
import { deletedOutcome } from "../store/request-outcome.ts";
import { cardId } from "../wire/network-card.ts";
import { leaveGuest } from "./leave-guest.ts";
import type { Work } from "./operation.ts";

export type Removal = Extract<Operation, { readonly kind: "remove-interface" }>;
type InterfaceEnd = Work & { readonly interface: InterfaceRecord };

/** The guest has some seconds to release a card; see `Machine.detach`. */
const STEP_TIMEOUT_MS = 20_000;

const guestStep: Step<InterfaceEnd> = {
  name: "guest-interface",
  run: ({ entry, interface: { mac } }, signal) => leaveGuest(entry, mac, signal),
};

export const REMOVAL_STEPS: readonly Step<InterfaceEnd>[] = [
  guestStep,
  {
    name: "card",
    run: async ({ entry, interface: leaving }, signal) =>
      await entry.vm?.machine.detach({ kind: "interface", id: cardId(leaving) }, signal),
  },
  {
    name: "host-network",
    run: async ({ node, entry, interface: { interfaceId } }, signal) =>
      await node.network?.disconnect(hostInterface(node, entry.record, interfaceId), signal),
  },
];

/** Removes the interface. It is kept if the guest refuses at the start. Needs the lock. */
export async function removeInterfaceEntry(
  work: Work,
  removed: InterfaceRecord,
  { requestId, signal }: { readonly requestId: string; readonly signal: AbortSignal },
): Promise<void> {
  const { entry } = work;
  const note: Removal = { kind: "remove-interface", interfaceId: removed.interfaceId, requestId };
  const isNew = !entry.record.operations.some((each) => isOf(each, removed));
  entry.note((record) => withOperation(record, note));
  try {
    await guestStep.run({ ...work, interface: removed }, signal);
  } catch (error) {
    if (!isNew) throw withUnknownOutcome(error);
    entry.note((record) => withoutOperation(record, note));
    throw error;
  }
  await finishRemoval(work, note).catch((error: unknown) => {
    throw withUnknownOutcome(error);
  });
}

/** Finishes a noted removal from any step. Needs the lock, or exclusive use of the sandbox. */
export async function finishRemoval(work: Work, note: Removal): Promise<void> {
  const { entry } = work;
  const leaving = entry.record.network.interfaces.find((each) => isOf(note, each));
  if (leaving !== undefined)
    for (const step of REMOVAL_STEPS)
      await step.run({ ...work, interface: leaving }, AbortSignal.timeout(STEP_TIMEOUT_MS));
  entry.update(
    (record) => ({
      ...withoutOperation(record, note),
      network: withoutInterface(record.network, note.interfaceId),
    }),
    { outcome: deletedOutcome(note.requestId) },
  );
}

const isOf = (operation: Operation, { interfaceId }: InterfaceRecord): boolean =>
  operation.kind === "remove-interface" && operation.interfaceId === interfaceId;

/** The interface with this id. Throws INTERFACE_NOT_FOUND, and FIRST_INTERFACE for the first one. */
export function requireRemovable({ entry }: Work, interfaceId: string): InterfaceRecord {
  const { sandboxId, record } = entry;
  const found = record.network.interfaces.find((each) => each.interfaceId === interfaceId);
  if (found === undefined)
    throw new PaddockError("INTERFACE_NOT_FOUND", `sandbox ${sandboxId} has no interface ${interfaceId}`);
  if (found.added === undefined)
    throw new PaddockError(
      "FIRST_INTERFACE",
      `the first interface of sandbox ${sandboxId} cannot be removed`,
      {
        hint: "a policy of EGRESS_MODE_NONE cuts the sandbox off",
      },
    );
  return found;
}
