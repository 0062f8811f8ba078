import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { containerOf } from "../sandboxes/sandbox-record.ts";

const SIGKILL = 9;
const CALL_TIMEOUT_MS = 3000;
/** How long after SIGKILL the end must have been seen. */
const KILL_PATIENCE_MS = 5000;

/**
 * Ends containers: their stop signal, after `graceMs` SIGKILL, and waits until their ends are recorded. Containers that never
 * ran are left alone. Returns whether all have ended; a guest that does not answer costs a bounded time.
 */
export async function endContainers(
  ctx: NodeContext,
  entry: SandboxEntry,
  containerIds: readonly string[],
  graceMs: number,
): Promise<boolean> {
  const running = containerIds.filter((id) => isRunning(entry, id));
  if (running.length === 0) return true;
  for (const id of running) entry.stopRequests.add(id);
  const allEnded = () => running.every((id) => !isRunning(entry, id));
  if (graceMs > 0) {
    await Promise.all(
      running.map((id) => endOne(ctx, entry, id, containerOf(entry.record, id)?.stopSignal ?? SIGKILL)),
    );
    if (await entry.reaches(allEnded, AbortSignal.timeout(graceMs))) return true;
  }
  await Promise.all(
    running.filter((id) => isRunning(entry, id)).map((id) => endOne(ctx, entry, id, SIGKILL)),
  );
  return await entry.reaches(allEnded, AbortSignal.timeout(KILL_PATIENCE_MS));
}

async function endOne(
  ctx: NodeContext,
  entry: SandboxEntry,
  containerId: string,
  signal: number,
): Promise<void> {
  try {
    const { containers } = await entry.agent.client({ deadlineMs: CALL_TIMEOUT_MS });
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    // A frozen process takes no signal but SIGKILL.
    if (containerOf(entry.record, containerId)?.phase.kind === "paused")
      await containers.resumeContainer({ containerId }, options);
    await containers.killContainer({ containerId, signal, all: signal === SIGKILL }, options);
  } catch (error) {
    ctx.log.warn(
      { sandbox: entry.sandboxId, container: containerId, signal, err: error },
      "a signal was not delivered",
    );
  }
}

function isRunning(entry: SandboxEntry, containerId: string): boolean {
  const kind = containerOf(entry.record, containerId)?.phase.kind;
  return kind === "running" || kind === "paused";
}
