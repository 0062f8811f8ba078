/** What handlers have in common: the call, the lock, and how a sandbox is shown. */
import type { LockView } from "@paddock/lifecycle";
import type { NodeContext } from "../node-context.ts";
import { permits, permitsContainer, requireContainer } from "../sandboxes/permits.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { containerStatusOf, type StatusContext, sandboxOf } from "../wire/sandbox-status.ts";

export { permits, permitsContainer, requireContainer };

export type Call = {
  /** Of its method; the holder of a lock is shown by it. */
  readonly name: string;
  readonly requestId: string;
  /** Of the sandbox's placement; 0 when the command is about none. */
  readonly generation: bigint;
  /** Aborts when all callers with this request id have left or reached their deadline. */
  readonly signal: AbortSignal;
  /** The deadline of the first caller. */
  readonly deadline: Date | undefined;
};

/** Runs `work` with the sandbox's lock held. Throws SANDBOX_NOT_FOUND, also when it was deleted meanwhile. */
export async function locked<T>(
  ctx: NodeContext,
  sandboxId: string,
  call: Call,
  work: (entry: SandboxEntry) => Promise<T>,
): Promise<T> {
  ctx.sandboxes.require(sandboxId);
  return await ctx.lock.with(sandboxId, call, () => work(ctx.sandboxes.require(sandboxId)));
}

/** How long a call without the lock waits for the link to a guest. */
const GUEST_PATIENCE_MS = 10_000;

/** The services of the guest, for a call that takes no lock. */
export const guestOf = (entry: SandboxEntry, { signal }: Call) =>
  entry.agent.client({ signal, deadlineMs: GUEST_PATIENCE_MS });

/** The sandbox as the client sees it. */
export const shownSandbox = (ctx: NodeContext, entry: SandboxEntry) =>
  sandboxOf(entry.record, statusContext(ctx, entry, ctx.lock.view(entry.sandboxId)));

/** The sandbox as a call that has changed it leaves it: the lock that call still holds is not worth telling. */
export const changedSandbox = (ctx: NodeContext, entry: SandboxEntry) =>
  sandboxOf(entry.record, statusContext(ctx, entry, { holder: undefined, waiters: [] }));

const statusContext = (ctx: NodeContext, { applied, held }: SandboxEntry, lock: LockView): StatusContext => ({
  nodeId: ctx.nodeId,
  isolation: ctx.isolation,
  lock,
  applied,
  unhealthy: held?.message,
  vmOverheadBytes: ctx.vmOverheadBytes,
  network: ctx.network,
  cgroupLayout: ctx.cgroups.layout,
});

/** The container as the client sees it. */
export const shownContainer = (entry: SandboxEntry, containerId: string) =>
  containerStatusOf(requireContainer(entry, containerId));
