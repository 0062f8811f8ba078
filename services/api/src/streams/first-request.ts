import type { PaddockError } from "@paddock/domain";
import { invalidFields } from "@paddock/rpc";

/** A request of a stream that begins with a message `start`. */
type Startable = { readonly message: { readonly case: string | undefined } };
type Start<T extends Startable> = T & { readonly message: { readonly case: "start" } };

/**
 * The `start` of a stream, and the requests after it. Throws `PaddockError` when there is none; so does the iteration when another
 * `start` comes later.
 */
export async function firstRequest<T extends Startable>(
  requests: AsyncIterable<T>,
): Promise<{ readonly first: Start<T>; readonly rest: AsyncIterator<T> }> {
  const iterator = requests[Symbol.asyncIterator]();
  const { done, value } = await iterator.next();
  if (done) throw misplaced("the stream ended before its first request, which must be `start`");
  if (!isStart(value)) throw misplaced("the first request of the stream must be `start`");
  return { first: value, rest: withoutStart(iterator) };
}

async function* withoutStart<T extends Startable>(iterator: AsyncIterator<T>): AsyncGenerator<T> {
  for (;;) {
    const { done, value } = await iterator.next();
    if (done) return;
    if (isStart(value)) throw misplaced("`start` is only the first request of the stream");
    yield value;
  }
}

const isStart = <T extends Startable>(request: T): request is Start<T> => request.message.case === "start";

const misplaced = (description: string): PaddockError => invalidFields([{ field: "message", description }]);
