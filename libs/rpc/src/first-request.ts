import type { PaddockError } from "@paddock/domain";
import { invalidFields } from "./request-check.ts";

/** A request of a stream that begins with a message `start`. */
type Startable = { readonly message: { readonly case: string | undefined } };
type Case<T extends Startable> = Exclude<T["message"]["case"], "start" | undefined>;
type Start<T extends Startable> = T & { readonly message: Extract<T["message"], { readonly case: "start" }> };
type Later<T extends Startable> = T & { readonly message: Extract<T["message"], { readonly case: Case<T> }> };

/**
 * The `start` of a stream, and the requests after it. Throws `PaddockError` INVALID_FIELD if there is none. The iteration throws
 * the same if another `start`, or a request without a message, follows.
 */
export async function firstRequest<T extends Startable>(
  requests: AsyncIterable<T>,
): Promise<{ readonly first: Start<T>; readonly rest: AsyncGenerator<Later<T>> }> {
  const iterator = requests[Symbol.asyncIterator]();
  const { done, value } = await iterator.next();
  if (done) throw misplaced("the stream ended before its first request, which must be `start`");
  if (!isStart(value)) throw misplaced("the first request of the stream must be `start`");
  return { first: value, rest: laterRequests(iterator) };
}

async function* laterRequests<T extends Startable>(iterator: AsyncIterator<T>): AsyncGenerator<Later<T>> {
  for (;;) {
    const { done, value } = await iterator.next();
    if (done) return;
    if (!isLater(value)) throw misplaced("`start` is only the first request of the stream");
    yield value;
  }
}

const isStart = <T extends Startable>(request: T): request is Start<T> => request.message.case === "start";

const isLater = <T extends Startable>(request: T): request is Later<T> =>
  request.message.case !== "start" && request.message.case !== undefined;

const misplaced = (description: string): PaddockError => invalidFields([{ field: "message", description }]);
