import { hasReason, PaddockError } from "@paddock/domain";
import type { RunningVm } from "../../vm/running-vm.ts";
import { configureGuest } from "../../watch/configure-guest.ts";
import { watchGuest } from "../../watch/supervise.ts";
import type { BootStep } from "./boot-context.ts";

/** Bytes of the serial console in an error. They are part of a status's details, which are bounded. */
const EVIDENCE_IN_ERROR = 2048;

/**
 * Waits for the guest's first answer and gives it its identity: fresh entropy, time, hostname, name resolution, network. Only
 * then are the links of its interfaces set up. A VM that ends before, or a guest that does not answer before the deadline,
 * fails the boot with the end of its console as evidence.
 */
export const guest: BootStep = {
  name: "guest",
  async run({ node, entry, plan }, signal) {
    const { vm } = entry;
    if (vm === undefined) throw entry.lost;
    const begun = node.nowMs();
    const client = await answered(vm, node.bootTimeoutMs, signal);
    const answeredAfterMs = node.nowMs() - begun;
    const told = await configureGuest(client, node, entry.record, { signal });
    entry.update((record) => ({
      ...record,
      bootDurationMs: answeredAfterMs,
      agentSequence: 0,
      guestBootId: (told?.bootId ?? "").slice(0, 64),
    }));
    for (const { kind, id } of plan.machineRequest.devices)
      if (kind === "interface") await vm.machine.setLink(id, true, signal);
    vm.configuredOver = client;
    watchGuest(node, entry, vm);
  },
};

/** A VM that ends during the wait closes the link with the cause: that error is passed on unchanged. */
async function answered({ machine, link }: RunningVm, deadlineMs: number, signal: AbortSignal) {
  try {
    return await link.client({ deadlineMs, signal });
  } catch (error) {
    if (signal.aborted ? !hasReason(signal.reason, "DEADLINE") : link.state.kind === "closed") throw error;
    const tail = await machine.serialTail();
    const reason = signal.aborted ? "DEADLINE" : "GUEST_UNAVAILABLE";
    const why = signal.aborted ? "before the call's deadline" : `within ${deadlineMs} ms`;
    throw new PaddockError(reason, `the guest did not answer ${why}`, {
      metadata: { evidence: tail.slice(-EVIDENCE_IN_ERROR) },
      hint: "the evidence is the end of the guest's serial console",
      cause: error,
    });
  }
}
