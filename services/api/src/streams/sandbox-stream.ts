import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { forwarded, type NodeClient, nodeFailure } from "../nodes/node-streams.ts";
import { isMisplaced, locateSandbox, settle } from "../sandboxes/locate-sandbox.ts";

/** The way to the node of a sandbox, for calls that stream. */
export type SandboxStream = {
  readonly client: NodeClient;
  readonly options: ReturnType<typeof forwarded>;
  /** Of the sandbox's placement; it goes in the first request to the node. */
  readonly generation: bigint;
  /** What a failure of a call to the node is for the client. */
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
    client: api.streams.client(nodeId),
    options: forwarded(ctx),
    generation,
    failure: (error) => {
      // The stream has begun and cannot be asked elsewhere, but the next one can.
      if (isMisplaced(error)) void settle(api, placed, error).catch(() => {});
      return nodeFailure(error, nodeId);
    },
  };
}
