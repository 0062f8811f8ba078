/** Waits that end at a signal or a timeout. They leave no listener and no timer behind. */
import { addAbortListener } from "node:events";

/** Settles with `work`, or rejects with the signal's reason as soon as the signal aborts. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) work.catch(() => undefined);
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  using _listener = addAbortListener(signal, () => reject(signal.reason));
  return await Promise.race([work, promise]);
}

/** Whether `work` settles, in either way, within `timeoutMs`. */
export async function settlesWithin(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, timeoutMs, false);
  const settled = () => true;
  return await Promise.race([work.then(settled, settled), promise]).finally(() => clearTimeout(timer));
}
