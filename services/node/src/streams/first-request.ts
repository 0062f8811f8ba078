import { PaddockError } from "@paddock/domain";

/** The first request of a stream, and an iterable of the others. Throws INVALID_FIELD when there is none. */
export async function firstRequest<R>(
  requests: AsyncIterable<R>,
): Promise<{ readonly first: R; readonly rest: AsyncIterable<R> }> {
  const iterator = requests[Symbol.asyncIterator]();
  const { done, value } = await iterator.next();
  if (done === true) throw invalidStart();
  return { first: value, rest: { [Symbol.asyncIterator]: () => iterator } };
}

/** The error for a stream whose messages are not `start` and then the rest. */
export const invalidStart = (): PaddockError =>
  new PaddockError("INVALID_FIELD", "the first request must be `start`, and no other", {
    violations: [{ field: "message", description: "must be `start` in the first request, and only there" }],
  });
