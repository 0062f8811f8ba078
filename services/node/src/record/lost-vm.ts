/** Errors for the loss of a VM, which is an end without a request. */
import { PaddockError } from "@paddock/domain";
import type { SandboxRecord, StopCause } from "./sandbox-record.ts";

/** The causes of a loss. */
const LOSSES: ReadonlySet<StopCause> = new Set(["vm_lost", "host_oom", "guest_panic", "host_restart"]);

const EVIDENCE_CHARACTERS = 1024;
const FIRST_LINE_CHARACTERS = 200;

/** The error of calls to the guest of a lost VM. */
export function lostVm(sandboxId: string, cause: StopCause, evidence: string): PaddockError {
  const [seen = ""] = evidence.split("\n");
  const how = seen === "" ? "" : `: ${seen.slice(0, FIRST_LINE_CHARACTERS)}`;
  return new PaddockError("VM_UNAVAILABLE", `the VM of sandbox ${sandboxId} was lost (${cause})${how}`, {
    metadata: { cause, evidence: evidence.slice(-EVIDENCE_CHARACTERS) },
    hint: "the sandbox is stopped; starting it boots it again",
  });
}

/** The same error for a sandbox that is stopped because its VM was lost; undefined for any other. */
export function lossOf({
  sandboxId,
  phase,
}: Pick<SandboxRecord, "sandboxId" | "phase">): PaddockError | undefined {
  if (phase.kind !== "stopped" || !LOSSES.has(phase.cause)) return undefined;
  return lostVm(sandboxId, phase.cause, phase.evidence);
}
