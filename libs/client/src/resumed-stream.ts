/** One sequence of messages, over any number of streams. */
import type { CallOptions } from "@connectrpc/connect";
import { PaddockError } from "@paddock/domain";
import { isTransient } from "./call-failure.ts";
import { backoffMs, sleep } from "./retry.ts";

const ATTEMPTS = 10;

export type StreamOptions = {
  /** How long one stream may last, in milliseconds; unlimited by default. */
  readonly timeoutMs?: number | undefined;
  /** Ends the sequence with an error. */
  readonly signal?: AbortSignal | undefined;
  /** Called when a connection is lost and the stream is about to be opened again. */
  readonly onLost?: (() => void) | undefined;
};

export type ResumedStreamOptions<T> = {
  /** Opens a stream where the previous one ended. */
  readonly open: (call: CallOptions) => AsyncIterable<T>;
  /** Whether the position to resume at is known. */
  readonly canResume: () => boolean;
};

/** Messages until a stream ends or fails permanently: ten attempts in a row without a message. Throws `PaddockError`. */
export async function* resumedStream<T>(
  { open, canResume }: ResumedStreamOptions<T>,
  { signal, timeoutMs, onLost }: StreamOptions,
): AsyncGenerator<T> {
  const left = new AbortController();
  const call = {
    signal: AbortSignal.any([left.signal, ...(signal ? [signal] : [])]),
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
  try {
    for (let attempt = 0; ; attempt += 1) {
      try {
        for await (const message of open(call)) {
          attempt = 0;
          yield message;
        }
        return;
      } catch (error) {
        const isTransientError = error instanceof PaddockError && isTransient(error);
        if (!isTransientError || !canResume() || signal?.aborted || attempt >= ATTEMPTS) throw error;
        if (attempt === 0) onLost?.();
        await sleep(backoffMs(attempt), signal);
      }
    }
  } finally {
    // The reader may have left its loop; the call must not continue then.
    left.abort();
  }
}
