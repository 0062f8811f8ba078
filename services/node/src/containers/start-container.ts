import { hasReason, PaddockError } from "@paddock/domain";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { afterGuestContainer } from "../wire/guest-facts.ts";

const TIMEOUT_MS = 30_000;

/**
 * Executes a container's command. A command that is missing or cannot be executed is not an error: the container ends with 127
 * or 126. Needs the lock.
 */
export async function startContainer(
  entry: SandboxEntry,
  containerId: string,
  nowMs: () => number,
  signal: AbortSignal,
): Promise<void> {
  const { containers } = await entry.agent.client({ signal });
  const options = { signal, timeoutMs: TIMEOUT_MS };
  const container = await containers
    .startContainer({ containerId }, options)
    .then((answer) => answer.container)
    .catch(async (error: unknown) => {
      if (!hasReason(error, "INVALID_FIELD")) throw error;
      const { container: told } = await containers.getContainer({ containerId, withoutExecs: true }, options);
      if (told?.exitStatus === undefined) throw error;
      return told;
    });
  if (container === undefined)
    throw new PaddockError("GUEST_UNAVAILABLE", "the guest's answer has no container");
  // The answer is about this container, regardless of the names that the guest sends.
  const facts = { nowMs: nowMs(), stopRequested: () => false };
  const told = { ...container, containerId, instance: "" };
  entry.update((record) => afterGuestContainer(record, told, facts));
}
