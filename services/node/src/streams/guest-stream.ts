/** A client's stream on one connection to a guest: it ends with that connection, with the reason why. */
import { hasReason } from "@paddock/domain";
import type { CallContext } from "@paddock/rpc";
import type { AgentLink } from "../agent/agent-link.ts";
import type { AgentClient } from "../agent/connect-agent.ts";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";
import { GuestWatch } from "./guest-watch.ts";

/** How long the link may be down at the beginning, in ms. */
const CONNECT_MS = 10_000;
/** How long the record of a VM's end may take, in ms. */
const CAUSE_MS = 5000;

/**
 * The events of `open`, whose signal aborts when the client leaves or the guest does not answer any more. Throws the recorded end of
 * the VM, if that is why the connection broke, and the errors of the link and of `open`.
 */
export async function* guestStream<T>(
  sandbox: LiveSandbox,
  call: CallContext,
  open: (agent: AgentClient, signal: AbortSignal) => AsyncIterable<T>,
): AsyncGenerator<T> {
  const link = sandbox.agent;
  using watch = new GuestWatch(sandbox, call.signal);
  const { signal } = watch;
  const agent = await link.client({ signal, deadlineMs: CONNECT_MS });
  try {
    yield* open(agent, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw agent.end === undefined ? error : await causeOf(error, link, signal);
  }
}

/** Why the link broke: the end of the VM, if that was it. */
async function causeOf(error: unknown, link: AgentLink, signal: AbortSignal): Promise<unknown> {
  return await link.client({ signal, deadlineMs: CAUSE_MS }).then(
    () => error,
    (cause: unknown) => (hasReason(cause, "GUEST_UNAVAILABLE") ? error : cause),
  );
}
