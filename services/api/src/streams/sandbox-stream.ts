import type { CallContext, CallOptions, GrpcConnection } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { forwarded, nodeFailure } from "../nodes/node-streams.ts";
import { isMisplaced, locateSandbox, settle } from "../sandboxes/locate-sandbox.ts";

/** The connection to the node of a sandbox, for streaming calls. */
export type SandboxStream = {
  readonly connection: GrpcConnection;
  /** Deadline, signal and metadata of the call, with the generation of the placement. */
  readonly options: CallOptions;
  /** Converts the error of a failed call to a node for the client. */
  readonly failure: (error: unknown) => unknown;
};

/** Throws `PaddockError` SANDBOX_NOT_FOUND, NODE_UNAVAILABLE. */
export async function sandboxStream(
  api: ApiContext,
  ctx: CallContext,
  sandboxId: string,
): Promise<SandboxStream> {
  const placed = await locateSandbox(api, ctx, sandboxId);
  const { nodeId, generation } = placed.placement;
  return {
    connection: api.streams.connection(nodeId),
    options: forwarded(ctx, generation),
    failure: (error) => {
      // The stream has begun and cannot move to another node, but the next one can.
      if (isMisplaced(error)) void settle(api, placed, error).catch(() => {});
      return nodeFailure(error, nodeId);
    },
  };
}
