import { PaddockError } from "@paddock/domain";
import { invalidFields } from "@paddock/rpc";

/** The first request of a stream and an iterator over those after it. Throws `PaddockError` when there is none. */
export async function firstRequest<T>(
  requests: AsyncIterable<T>,
): Promise<{ readonly first: T; readonly rest: AsyncIterator<T> }> {
  const rest = requests[Symbol.asyncIterator]();
  const { done, value } = await rest.next();
  if (done)
    throw new PaddockError("INVALID_ARGUMENT", "the stream ended before its first request", {
      hint: "send `start` first",
    });
  return { first: value, rest };
}

/** The error for a stream that does not begin with `start`. */
export const notStart = (): PaddockError =>
  invalidFields([{ field: "message", description: "the first request of the stream must be `start`" }]);
