import { setTimeout as pause } from "node:timers/promises";

export type RetryOptions = {
  /** Pause before the second attempt, in ms; doubles up to 16 times this. */
  readonly pauseMs: number;
  /** Called with the first failure, and with undefined when an attempt then succeeds. */
  readonly onProblem: (problem: Error | undefined) => void;
  /** Ends the attempts with the signal's reason. */
  readonly signal: AbortSignal;
};

/** Repeats an action, such as a write that fails while the disk is full, until it succeeds. */
export async function retrying<T>(
  attempt: () => Promise<T>,
  { pauseMs: first, onProblem, signal }: RetryOptions,
): Promise<T> {
  for (let pauseMs = first, failed = false; ; pauseMs = Math.min(pauseMs * 2, first * 16)) {
    try {
      const result = await attempt();
      if (failed) onProblem(undefined);
      return result;
    } catch (error) {
      signal.throwIfAborted();
      if (!failed) onProblem(error instanceof Error ? error : new Error(String(error)));
      failed = true;
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
    }
  }
}
