/** What handlers have in common: who asks, how patient he is, and the lock. */
import { type ContainerRequest, decide, denial, PaddockError, type SandboxRequest } from "@paddock/domain";
import type { LockView } from "@paddock/lifecycle";
import type { NodeContext } from "../node-context.ts";
import { lossOf } from "../sandboxes/lost-vm.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { type ContainerRecord, containerOf } from "../sandboxes/sandbox-record.ts";
import { containerStatusOf, type StatusContext, sandboxOf } from "../sandboxes/sandbox-status.ts";

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
  return await ctx.lock.with(sandboxId, "write", { name, signal: call.signal }, () =>
    work(ctx.sandboxes.require(sandboxId)),
  );
}

/** Whether the sandbox's state asks for work (true) or has it done already (false). Throws WRONG_STATE, VM_UNAVAILABLE once the VM was lost. */
export function permits(entry: SandboxEntry, request: SandboxRequest): boolean {
  const decision = decide({ about: "sandbox", state: entry.record.phase.kind, request });
  if (decision.kind === "deny")
    throw lossOf(entry.record) ?? denial(`${words(request)} sandbox ${entry.sandboxId}`, decision);
  return decision.kind === "accept";
}

/** As `permits`, for a container. Throws CONTAINER_NOT_FOUND too. */
export function permitsContainer(
  entry: SandboxEntry,
  containerId: string,
  request: ContainerRequest,
): boolean {
  const container = requireContainer(entry, containerId);
  const decision = decide({
    about: "container",
    sandbox: entry.record.phase.kind,
    state: container.phase.kind,
    request,
  });
  if (decision.kind === "deny")
    throw (
      lossOf(entry.record) ??
      denial(`${words(request)} container ${containerId} of sandbox ${entry.sandboxId}`, decision)
    );
  return decision.kind === "accept";
}

/** The container's record. Throws CONTAINER_NOT_FOUND. */
export function requireContainer(entry: SandboxEntry, containerId: string): ContainerRecord {
  const container = containerOf(entry.record, containerId);
  if (container !== undefined) return container;
  throw new PaddockError("CONTAINER_NOT_FOUND", `sandbox ${entry.sandboxId} has no container ${containerId}`);
}

/** The sandbox as the client sees it. */
export const shownSandbox = (ctx: NodeContext, entry: SandboxEntry) =>
  sandboxOf(entry.record, statusContext(ctx, entry, ctx.lock.view(entry.sandboxId)));

/** The sandbox as a call that has changed it leaves it: the lock that call still holds is not worth telling. */
export const changedSandbox = (ctx: NodeContext, entry: SandboxEntry) =>
  sandboxOf(entry.record, statusContext(ctx, entry, { holders: [], waiters: [] }));

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

/** The request as an error's text names it, before "sandbox s1" or "container c1 of sandbox s1". */
function words(request: SandboxRequest | ContainerRequest): string {
  switch (request) {
    case "stats":
      return "read the figures of";
    case "create_container":
      return "create a container in";
    case "change_hardware":
      return "change the hardware of";
    case "list_processes":
      return "list the processes of";
    case "signal_process":
      return "signal a process of";
    case "resize_tty":
      return "resize a terminal of";
    default:
      return request.replaceAll("_", " ");
  }
}
