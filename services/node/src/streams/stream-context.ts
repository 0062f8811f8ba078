/** The context of the stream handlers, and the lookup of what a request names. */
import { type ContainerRequest, decide, denial, PaddockError } from "@paddock/domain";
import type { ImageStore } from "@paddock/images";
import type { LogBook } from "../logs/log-book.ts";
import type { LiveSandbox, LiveSandboxes } from "../sandboxes/live-sandbox.ts";
import { lossOf } from "../sandboxes/lost-vm.ts";
import { type ContainerRecord, containerOf } from "../sandboxes/sandbox-record.ts";
import type { StatsContext } from "../stats/sandbox-stats.ts";

export type StreamContext = StatsContext & {
  readonly nodeId: string;
  readonly sandboxes: LiveSandboxes;
  readonly logs: LogBook;
  readonly images: ImageStore;
};

export type LiveContainer = { readonly sandbox: LiveSandbox; readonly container: ContainerRecord };

/** The container a request names. Throws SANDBOX_NOT_FOUND or CONTAINER_NOT_FOUND. */
export function requireContainer(
  { sandboxes }: Pick<StreamContext, "sandboxes">,
  { sandboxId, containerId }: { readonly sandboxId: string; readonly containerId: string },
): LiveContainer {
  const sandbox = sandboxes.require(sandboxId);
  const container = containerOf(sandbox.record, containerId);
  if (container !== undefined) return { sandbox, container };
  throw new PaddockError("CONTAINER_NOT_FOUND", `sandbox ${sandboxId} has no container ${containerId}`);
}

/**
 * Throws WRONG_STATE when the states of sandbox and container do not allow the request, VM_UNAVAILABLE when that is because the VM was
 * lost; `what` is how the error names it.
 */
export function requireState(
  { sandbox, container }: LiveContainer,
  request: ContainerRequest,
  what: string,
): void {
  const { containerId, phase } = container;
  const state = { sandbox: sandbox.record.phase.kind, state: phase.kind };
  const decision = decide({ about: "container", ...state, request });
  if (decision.kind === "deny")
    throw (
      lossOf(sandbox.record) ??
      denial(`${what} container ${containerId} of sandbox ${sandbox.sandboxId}`, decision)
    );
}
