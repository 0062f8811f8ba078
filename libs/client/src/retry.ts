/** Retries of a call that failed temporarily. */
import { PaddockError } from "@paddock/domain";
import { isRefused, NoAnswerError } from "./call-failure.ts";

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 2_000;
const ATTEMPTS = 5;
/** An api that was never started is reported soon. */
const ATTEMPTS_REFUSED = 2;

/** The delay before attempt `attempt + 1`, in milliseconds: doubled each time, with up to a quarter of jitter to spread many clients. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const base = Math.min(FIRST_DELAY_MS * 2 ** attempt, MAX_DELAY_MS);
  return base * (1 + random() / 4);
}

/** Waits `ms` milliseconds. Rejects with the signal's reason if it is aborted. */
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

/**
 * Runs `call` until it succeeds, fails permanently, or has been tried five times. The caller makes sure that a retry is harmless.
 */
export async function retried<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof PaddockError) || !isWorthRetrying(error) || signal?.aborted) throw error;
      if (attempt + 1 >= (isRefused(error) ? ATTEMPTS_REFUSED : ATTEMPTS)) throw error;
      await sleep(Math.max(error.retryAfterMs ?? 0, backoffMs(attempt)), signal);
    }
  }
}

const isWorthRetrying = (error: PaddockError): boolean =>
  error.kind === "unavailable" && error.reason !== "VM_UNAVAILABLE" && !(error instanceof NoAnswerError);
