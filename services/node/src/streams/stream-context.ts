/** The context of the stream handlers, and the lookup of what a request names. */
import type { ContainerRequest } from "@paddock/domain";
import type { ImageStore } from "@paddock/images";
import type { LogBook } from "../logs/log-book.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import type { LiveSandbox, LiveSandboxes } from "../sandboxes/live-sandbox.ts";
import { requireContainer as containerIn, permitsContainer } from "../sandboxes/permits.ts";
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
  return { sandbox, container: containerIn(sandbox, containerId) };
}

/** Throws what `permitsContainer` throws; `what` is how the error names the request. */
export function requireState(
  { sandbox, container }: LiveContainer,
  request: ContainerRequest,
  what: string,
): void {
  permitsContainer(sandbox, container.containerId, request, what);
}
