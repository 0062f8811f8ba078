import { PaddockError } from "@paddock/domain";
import type { ImportImageRequest, ImportImageResponse } from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { importEverywhere } from "../streams/import-everywhere.ts";

/** Streams an image archive to every node that is up. */
export const importImage = (api: ApiContext) =>
  async function* (
    requests: AsyncIterable<ImportImageRequest>,
    ctx: CallContext,
  ): AsyncGenerator<ImportImageResponse> {
    const { first, rest } = await firstRequest(requests);
    await api.sight.seen(ctx);
    const nodeIds = api.nodes
      .all()
      .filter(({ liveness }) => liveness === "up")
      .map(({ nodeId }) => nodeId);
    if (nodeIds.length === 0) {
      throw new PaddockError("NO_NODES", "no node is up to take the image", {
        hint: "start a node daemon",
        retryAfterMs: 5_000,
      });
    }
    yield* importEverywhere(api, ctx, nodeIds, first, rest);
  };
