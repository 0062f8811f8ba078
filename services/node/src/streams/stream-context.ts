/** The context of the stream handlers, and the lookup of the sandbox and container that a request names. */
import type { ImageStore } from "@paddock/images";
import { GENERATION_KEY } from "@paddock/protocol";
import { type CallContext, invalidFields } from "@paddock/rpc";
import type { LogBook } from "../logs/log-book.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import type { LiveSandbox, LiveSandboxes } from "../sandboxes/live-sandbox.ts";
import { requireContainer } from "../sandboxes/permits.ts";
import type { StatsContext } from "../stats/sandbox-stats.ts";

export type StreamContext = StatsContext & {
  readonly nodeId: string;
  readonly sandboxes: LiveSandboxes;
  readonly logs: LogBook;
  readonly images: ImageStore;
};

type Sandboxes = Pick<StreamContext, "sandboxes">;

/** The sandbox of a stream. Throws STALE_GENERATION for a superseded placement, and SANDBOX_NOT_FOUND. */
export function streamSandbox(
  { sandboxes }: Sandboxes,
  { sandboxId }: { readonly sandboxId: string },
  call: CallContext,
): LiveSandbox {
  sandboxes.fence(sandboxId, generationOf(call));
  return sandboxes.require(sandboxId);
}

export type LiveContainer = { readonly sandbox: LiveSandbox; readonly container: ContainerRecord };

/** The container of a stream. Throws the errors of `streamSandbox`, and CONTAINER_NOT_FOUND. */
export function streamContainer(
  context: Sandboxes,
  request: { readonly sandboxId: string; readonly containerId: string },
  call: CallContext,
): LiveContainer {
  const sandbox = streamSandbox(context, request, call);
  return { sandbox, container: requireContainer(sandbox, request.containerId) };
}

/** The generation of the call's placement; 0 when it names none. */
function generationOf({ metadata }: CallContext): bigint {
  const text = metadata(GENERATION_KEY) ?? "0";
  if (!/^[0-9]{1,20}$/.test(text))
    throw invalidFields([{ field: GENERATION_KEY, description: "must be a decimal number" }]);
  return BigInt(text);
}
