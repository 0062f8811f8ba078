/**
 * Trying a call again.
 *
 * A call is repeated only when its repetition is harmless: it reads, or it carries a request id that makes the second a copy
 * of the first.
 */
import { PaddockError } from "@paddock/domain";
import { isRefused, NoAnswerError } from "./call-failure.ts";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 2_000;
const ATTEMPTS = 5;
/** Nobody wants to wait for an api that was never started. */
const ATTEMPTS_REFUSED = 2;

/** Delays that double, with up to a quarter of jitter so that many clients do not come back at once. In milliseconds. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const base = Math.min(FIRST_DELAY_MS * 2 ** attempt, LONGEST_DELAY_MS);
  return base * (1 + random() / 4);
}

/** Waits; rejects with the signal's reason when it is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Runs `call` until it succeeds, fails for good, or has been tried five times. */
export async function retried<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof PaddockError) || !isWorthAnother(error) || signal?.aborted) throw error;
      if (attempt + 1 >= (isRefused(error) ? ATTEMPTS_REFUSED : ATTEMPTS)) throw error;
      await sleep(Math.max(error.retryAfterMs ?? 0, backoffMs(attempt)), signal);
    }
  }
}

const isWorthAnother = (error: PaddockError): boolean =>
  error.kind === "unavailable" && error.reason !== "VM_UNAVAILABLE" && !(error instanceof NoAnswerError);
