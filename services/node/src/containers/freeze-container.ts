/**
 * Freezes and thaws the processes of a container.
 *
 * The agent finishes a call even when its caller leaves or the link breaks. So the call does not end when the client leaves.
 * After a broken link it is repeated, because the agent runs one call after the other. After a failure the guest is asked for
 * the container's state: the record has the actual state, not the requested one.
 */
import { hasReason, PaddockError } from "@paddock/domain";
import type { AgentClient } from "../agent/connect-agent.ts";
import type { NodeContext } from "../node-context.ts";
import { containerOf } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { afterGuestContainer } from "../wire/guest-facts.ts";

/** The agent gives the kernel 10 s to freeze a cgroup. Its own error is better than a timeout. */
const FREEZER_TIMEOUT_MS = 15_000;
const LINK_TIMEOUT_MS = 5000;
const LOOK_TIMEOUT_MS = 5000;

export type FreezeOptions = {
  readonly containerId: string;
  readonly wanted: "paused" | "running";
  /** Ends only the wait for a link to the guest. */
  readonly signal: AbortSignal;
};

/** Pauses a running container, or resumes a paused one. Needs the lock. */
export async function freezeContainer(
  ctx: NodeContext,
  entry: SandboxEntry,
  { containerId, wanted, signal }: FreezeOptions,
): Promise<void> {
  const options = { timeoutMs: FREEZER_TIMEOUT_MS };
  const ask = ({ containers }: AgentClient) =>
    wanted === "paused"
      ? containers.pauseContainer({ containerId }, options)
      : containers.resumeContainer({ containerId }, options);
  const client = await entry.agent.client({ signal });
  try {
    await ask(client).catch(async (error: unknown) => {
      if (!hasReason(error, "GUEST_UNAVAILABLE")) throw error;
      await ask(await entry.agent.client({ deadlineMs: LINK_TIMEOUT_MS }));
    });
  } catch (error) {
    await look(ctx, entry, containerId);
    if (containerOf(entry.record, containerId)?.phase.kind === wanted) return;
    throw error;
  }
  entry.updateContainer(containerId, ({ phase, ...container }) => ({
    ...container,
    phase: phase.kind === "running" || phase.kind === "paused" ? { ...phase, kind: wanted } : phase,
  }));
}

/**
 * Records the state that the guest reports for the container. If the guest does not answer, its containers are listed when its
 * link is up again.
 */
async function look(ctx: NodeContext, entry: SandboxEntry, containerId: string): Promise<void> {
  const facts = {
    nowMs: ctx.nowMs(),
    stopRequested: (id: string) => entry.vm?.stopRequests.has(id) === true,
  };
  try {
    const { containers } = await entry.agent.client({ deadlineMs: LINK_TIMEOUT_MS });
    const { container } = await containers.getContainer(
      { containerId, withoutExecs: true },
      { timeoutMs: LOOK_TIMEOUT_MS },
    );
    if (container === undefined)
      throw new PaddockError("GUEST_FAILED", "the guest's answer has no container");
    entry.update((record) => afterGuestContainer(record, { ...container, containerId }, facts));
  } catch (error) {
    entry.log.warn(
      { container: containerId, err: error },
      "the guest did not report whether a container is paused",
    );
  }
}
