import type { Consumer, JsMsg } from "@nats-io/jetstream";

/** The most messages of one batch. */
export const BATCH = 256;

/** One batch of messages. Ends when it is full, after `waitMs` milliseconds, or when the signal is aborted. */
export async function* fetchBatch(
  consumer: Consumer,
  waitMs: number,
  signal: AbortSignal,
): AsyncGenerator<JsMsg> {
  const messages = await consumer.fetch({ max_messages: BATCH, expires: waitMs });
  const stop = () => messages.stop();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    yield* messages;
  } finally {
    signal.removeEventListener("abort", stop);
    messages.stop();
  }
}
