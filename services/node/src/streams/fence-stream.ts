/** Refuses streams of a superseded placement before they have any effect, like its commands. */
import { type AttachRequest, type ExecRequest, GENERATION_KEY } from "@paddock/protocol";
import { type CallContext, invalidFields } from "@paddock/rpc";
import type { StreamContext } from "./stream-context.ts";

type Fence = Pick<StreamContext, "sandboxes">;

/** The request of a call, if its placement is the newest. Throws STALE_GENERATION. */
export function fencedCall<R extends { readonly sandboxId: string }>(
  { sandboxes }: Fence,
  request: R,
  call: CallContext,
): R {
  sandboxes.fence(request.sandboxId, generationOf(call));
  return request;
}

/** The requests of a stream; the iteration throws STALE_GENERATION at its `start` when its placement is not the newest. */
export async function* fencedStart<R extends ExecRequest | AttachRequest>(
  { sandboxes }: Fence,
  requests: AsyncIterable<R>,
  call: CallContext,
): AsyncGenerator<R> {
  const generation = generationOf(call);
  for await (const each of requests) {
    if (each.message.case === "start") sandboxes.fence(each.message.value.sandboxId, generation);
    yield each;
  }
}

/** Of the placement that the call is about; 0 when it names none. */
function generationOf({ metadata }: CallContext): bigint {
  const text = metadata(GENERATION_KEY) ?? "0";
  if (!/^[0-9]{1,20}$/.test(text))
    throw invalidFields([{ field: GENERATION_KEY, description: "must be a decimal number" }]);
  return BigInt(text);
}
