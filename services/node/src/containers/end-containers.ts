import { containerOf, type SandboxRecord } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";

const SIGKILL = 9;
const CALL_TIMEOUT_MS = 3000;
/** Time within which the end must be recorded after SIGKILL. */
const KILL_PATIENCE_MS = 5000;

/**
 * Ends containers: sends their stop signal and, after `graceMs`, SIGKILL, and waits until their ends are recorded. Containers
 * that never ran are skipped. Returns whether all have ended. A guest that accepts no signal is not waited for: it would not
 * report an end.
 */
export async function endContainers(
  entry: SandboxEntry,
  containerIds: readonly string[],
  graceMs: number,
): Promise<boolean> {
  const running = containerIds.filter((id) => isRunning(entry, id));
  if (running.length === 0) return true;
  for (const id of running) entry.vm?.stopRequests.add(id);
  const allEnded = () => running.every((id) => !isRunning(entry, id));
  if (graceMs > 0) {
    const signalOf = (id: string) => containerOf(entry.record, id)?.stopSignal ?? SIGKILL;
    if (!(await signalAll(entry, running, signalOf))) return allEnded();
    if (await entry.reaches(allEnded, AbortSignal.timeout(graceMs))) return true;
  }
  const left = running.filter((id) => isRunning(entry, id));
  if (!(await signalAll(entry, left, () => SIGKILL))) return allEnded();
  return await entry.reaches(allEnded, AbortSignal.timeout(KILL_PATIENCE_MS));
}

/**
 * Ends a container that was created and never started: its init exists and waits for the start, so a signal other than SIGKILL
 * has no effect. Returns whether the end was recorded. Throws the errors of the call to the guest.
 */
export async function endUnstarted(entry: SandboxEntry, containerId: string): Promise<boolean> {
  entry.vm?.stopRequests.add(containerId);
  const { containers } = await entry.agent.client({ deadlineMs: CALL_TIMEOUT_MS });
  await containers.killContainer({ containerId, signal: SIGKILL }, { timeoutMs: CALL_TIMEOUT_MS });
  const ended = (record: SandboxRecord) => {
    const container = containerOf(record, containerId);
    return container === undefined || container.phase.kind === "stopped";
  };
  return await entry.reaches(ended, AbortSignal.timeout(KILL_PATIENCE_MS));
}

/** Whether the guest accepted at least one of the signals. */
async function signalAll(
  entry: SandboxEntry,
  containerIds: readonly string[],
  signalOf: (containerId: string) => number,
): Promise<boolean> {
  const taken = await Promise.all(containerIds.map((id) => signalOne(entry, id, signalOf(id))));
  return taken.includes(true);
}

async function signalOne(entry: SandboxEntry, containerId: string, signal: number): Promise<boolean> {
  try {
    const { containers } = await entry.agent.client({ deadlineMs: CALL_TIMEOUT_MS });
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    if (containerOf(entry.record, containerId)?.phase.kind === "paused") await thaw(entry, containerId);
    await containers.killContainer({ containerId, signal, all: signal === SIGKILL }, options);
    return true;
  } catch (error) {
    entry.log.warn({ container: containerId, signal, err: error }, "a signal was not delivered");
    return false;
  }
}

/** Frozen processes do not react to signals. */
async function thaw(entry: SandboxEntry, containerId: string): Promise<void> {
  const { containers } = await entry.agent.client({ deadlineMs: CALL_TIMEOUT_MS });
  await containers.resumeContainer({ containerId }, { timeoutMs: CALL_TIMEOUT_MS });
  entry.updateContainer(containerId, ({ phase, ...container }) => ({
    ...container,
    phase: phase.kind === "paused" ? { ...phase, kind: "running" } : phase,
  }));
}

function isRunning(entry: SandboxEntry, containerId: string): boolean {
  const kind = containerOf(entry.record, containerId)?.phase.kind;
  return kind === "running" || kind === "paused";
}
