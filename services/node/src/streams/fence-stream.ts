/** Streams of a placement that was superseded are refused before anything is done for them, as its commands are. */
import type { nodepb } from "@paddock/protocol";
import type { StreamContext } from "./stream-context.ts";

type Fence = Pick<StreamContext, "sandboxes">;
type Placed = { readonly request?: { readonly sandboxId: string } | undefined; readonly generation: bigint };

/** The request of a call, if its placement is the newest. Throws STALE_GENERATION. */
export function fencedCall<R extends Placed>({ sandboxes }: Fence, request: R): R {
  sandboxes.fence(request.request?.sandboxId ?? "", request.generation);
  return request;
}

/** The requests of a stream; the iteration throws STALE_GENERATION at its `start` when its placement is not the newest. */
export async function* fencedStart<R extends nodepb.ExecRequest | nodepb.AttachRequest>(
  { sandboxes }: Fence,
  requests: AsyncIterable<R>,
): AsyncGenerator<R> {
  for await (const each of requests) {
    const message = each.request?.message;
    if (message?.case === "start") sandboxes.fence(message.value.sandboxId, each.generation);
    yield each;
  }
}
