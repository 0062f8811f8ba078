import type { SandboxRecord } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";

const SIGKILL = 9;
const CALL_TIMEOUT_MS = 3000;
const PATIENCE_MS = 5000;

/**
 * Ends a container that was created and never started: its init exists and waits for the start, so there is nothing to ask
 * politely. Returns whether the end was seen. Throws what the call on the guest throws.
 */
export async function endUnstarted(entry: SandboxEntry, containerId: string): Promise<boolean> {
  entry.vm?.stopRequests.add(containerId);
  const { containers } = await entry.agent.client({ deadlineMs: CALL_TIMEOUT_MS });
  await containers.killContainer({ containerId, signal: SIGKILL }, { timeoutMs: CALL_TIMEOUT_MS });
  const ended = (record: SandboxRecord) =>
    record.containers.every((each) => each.containerId !== containerId || each.phase.kind === "stopped");
  return await entry.reaches(ended, AbortSignal.timeout(PATIENCE_MS));
}
