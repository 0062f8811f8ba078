/**
 * Stops a sandbox: ends its containers, powers off its guest, then ends its process. Each stage has a time limit and does not
 * depend on the success of the previous one, so a guest that hangs costs only these limits.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { PaddockError } from "@paddock/domain";
import { settlesWithin } from "@paddock/lifecycle";
import { guestText } from "../agent/guest-text.ts";
import { endContainers } from "../containers/end-containers.ts";
import type { NodeContext } from "../node-context.ts";
import { stopped, withOperation, withoutOperation } from "../record/sandbox-record.ts";
import type { ResourceOwner } from "../resources/host-resource.ts";
import { ownerOf, releaseSandbox } from "../resources/release-sandbox.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { RunningVm } from "../vm/running-vm.ts";

export type StopOptions = {
  /** Time between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  /** Whether to end the VM without asking its guest. */
  readonly force: boolean;
};

/** Noted in the record: if the VM is gone after a crash, it was ended on purpose. */
const STOP = { kind: "stop" } as const;

const MAX_EVIDENCE = 256;
const RESUME_TIMEOUT_MS = 3000;
const SHUTDOWN_TIMEOUT_MS = 2000;
/** Time for the guest to power off. */
const POWER_OFF_MS = 3000;

/** Leaves the sandbox in state `stopped`. Needs the lock and a sandbox that has a VM. */
export async function stopSandboxEntry(
  ctx: NodeContext,
  entry: SandboxEntry,
  options: StopOptions,
): Promise<void> {
  const { vm } = entry;
  const owner = ownerOf(ctx, entry);
  entry.note((record) => withOperation(record, STOP));
  for (const { containerId } of entry.record.containers) vm?.stopRequests.add(containerId);
  if (vm !== undefined) vm.endExpected = true;
  const silence =
    vm === undefined || options.force ? undefined : await askGuest(ctx, entry, vm, options.graceMs);
  entry.detach(new PaddockError("VM_UNAVAILABLE", `sandbox ${entry.sandboxId} was stopped`));
  await finishStop(ctx, entry, owner, silence);
}

/**
 * Finishes a stop, also one that an earlier daemon began: releases the rest of the VM and records it. `silence` is the evidence
 * when the guest did not take part: the exit statuses of its containers are unknown then.
 */
export async function finishStop(
  ctx: NodeContext,
  entry: SandboxEntry,
  owner: ResourceOwner,
  silence?: string,
): Promise<void> {
  await releaseSandbox(ctx, entry, owner, "of-the-boot");
  const cause = silence === undefined ? "requested" : "guest_unresponsive";
  const end = { cause, evidence: silence ?? "", nowMs: ctx.nowMs() } as const;
  entry.update((record) => stopped(withoutOperation(record, STOP), end));
}

/** The evidence when the guest did not take part, otherwise undefined. */
async function askGuest(
  ctx: NodeContext,
  entry: SandboxEntry,
  { machine, link }: RunningVm,
  graceMs: number,
): Promise<string | undefined> {
  if (entry.held !== undefined) return entry.held.message;
  try {
    // Paused vCPUs cannot execute the stop.
    if (entry.record.phase.kind === "paused") await machine.resume(AbortSignal.timeout(RESUME_TIMEOUT_MS));
    const ids = entry.record.containers.map(({ containerId }) => containerId);
    const ended = await endContainers(entry, ids, graceMs);
    if (!ended) {
      entry.log.warn({}, "containers did not end in time; killing the VM");
      return "the guest did not end its containers";
    }
    await Promise.all(ids.map((containerId) => ctx.logs.stop(entry.sandboxId, containerId)));
    const client = await link.client({ deadlineMs: SHUTDOWN_TIMEOUT_MS });
    // The answer may be lost with the guest: only the end of the VM counts.
    const asked = client.sandbox.shutdown({ grace: durationFromMs(0) }, { timeoutMs: SHUTDOWN_TIMEOUT_MS });
    asked.catch(() => undefined);
    await settlesWithin(machine.ended, POWER_OFF_MS);
    return undefined;
  } catch (error) {
    entry.log.warn({ err: error }, "the guest did not take part in its stop");
    return guestText(error instanceof Error ? error.message : "the guest did not answer", MAX_EVIDENCE);
  }
}
