/** What handlers have in common: who asks, how patient he is, and the lock. */
import type { LockView } from "@paddock/lifecycle";
import type { NodeContext } from "../node-context.ts";
import { permits, permitsContainer, requireContainer } from "../sandboxes/permits.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { containerStatusOf, type StatusContext, sandboxOf } from "../wire/sandbox-status.ts";

export { permits, permitsContainer, requireContainer };

export type Call = {
  readonly requestId: string;
  /** Of the sandbox's placement; 0 when the command is about none. */
  readonly generation: bigint;
  /** Aborts when the caller, and everyone who came with the same request id, has lost patience or left. */
  readonly signal: AbortSignal;
  /** When the first of them will have lost it. */
  readonly deadline: Date | undefined;
};

/** Runs `work` with the sandbox's lock held for writing. Throws SANDBOX_NOT_FOUND, also when it was deleted meanwhile. */
export async function locked<T>(
  ctx: NodeContext,
  sandboxId: string,
  name: string,
  call: Call,
  work: (entry: SandboxEntry) => Promise<T>,
): Promise<T> {
  ctx.sandboxes.require(sandboxId);
  return await ctx.lock.with(sandboxId, { name, signal: call.signal }, () =>
    work(ctx.sandboxes.require(sandboxId)),
  );
}

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
  cgroupLayout: ctx.cgroups.layout,
});

/** The container as the client sees it. */
export const shownContainer = (entry: SandboxEntry, containerId: string) =>
  containerStatusOf(requireContainer(entry, containerId));
