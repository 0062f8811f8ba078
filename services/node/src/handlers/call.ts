/** Shared by handlers: the call, the lock, and how a sandbox is shown. */
import type { LockView } from "@paddock/lifecycle";
import type { NodeContext } from "../node-context.ts";
import { vmOverheadBytesOf } from "../record/vm-overhead.ts";
import { permits, permitsContainer, requireContainer } from "../sandboxes/permits.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { containerStatusOf, type StatusContext, sandboxOf } from "../wire/sandbox-status.ts";

export { permits, permitsContainer, requireContainer };

export type Call = {
  /** Name of the method; identifies the holder of a lock. */
  readonly name: string;
  readonly requestId: string;
  /** Generation of the sandbox's placement; 0 when the command concerns no sandbox. */
  readonly generation: bigint;
  /** Aborts when all callers with this request id have left or reached their deadline. */
  readonly signal: AbortSignal;
  /** The deadline of the first caller. */
  readonly deadline: Date | undefined;
};

/** Runs `work` with the sandbox's lock held. Throws SANDBOX_NOT_FOUND, also when the sandbox is deleted during the wait. */
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

/** The services of the guest, for a call without the lock. */
export const guestOf = (entry: SandboxEntry, { signal }: Call) =>
  entry.agent.client({ signal, deadlineMs: GUEST_PATIENCE_MS });

/** The sandbox as the client sees it. */
export const shownSandbox = (ctx: NodeContext, entry: SandboxEntry) =>
  sandboxOf(entry.record, statusContext(ctx, entry, ctx.lock.view(entry.sandboxId)));

/** The sandbox as shown by the call that has changed it, without the lock that the call still holds. */
export const changedSandbox = (ctx: NodeContext, entry: SandboxEntry) =>
  sandboxOf(entry.record, statusContext(ctx, entry, { holder: undefined, waiters: [] }));

const statusContext = (
  ctx: NodeContext,
  { applied, held, record }: SandboxEntry,
  lock: LockView,
): StatusContext => ({
  nodeId: ctx.nodeId,
  isolation: ctx.isolation,
  lock,
  applied,
  unhealthy: held?.message,
  vmOverheadBytes: vmOverheadBytesOf(ctx.vmOverheadBytes, record.spec),
  network: ctx.network,
  cgroupLayout: ctx.cgroups.layout,
});

/** The container as the client sees it. */
export const shownContainer = (entry: SandboxEntry, containerId: string) =>
  containerStatusOf(requireContainer(entry, containerId));
