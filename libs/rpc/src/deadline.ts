/**
 * How long a call may take. A unary call always has a deadline: the client's, up to a maximum, or a default. A stream has a
 * deadline only if the client sets one.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";

/** The longest delay of setTimeout, in milliseconds (about 24.8 days). With a longer one Node.js fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Limits of one method's time, in milliseconds. Undefined means none. */
export type DeadlineLimits = { readonly defaultMs?: number; readonly maxMs?: number };

const MINUTE_MS = 60_000;
const UNARY: DeadlineLimits = { defaultMs: 30_000, maxMs: 10 * MINUTE_MS };
const BY_NAME: Readonly<Record<string, DeadlineLimits>> = {
  CreateSandbox: { defaultMs: 120_000, maxMs: 30 * MINUTE_MS },
  RunSandbox: { defaultMs: 120_000, maxMs: 30 * MINUTE_MS },
  StartSandbox: { defaultMs: 120_000, maxMs: 30 * MINUTE_MS },
  // Stopping waits for `grace`, which may be an hour.
  StopSandbox: { defaultMs: 120_000, maxMs: 70 * MINUTE_MS },
  StopContainer: { defaultMs: 120_000, maxMs: 70 * MINUTE_MS },
  DeleteSandbox: { defaultMs: 120_000, maxMs: 30 * MINUTE_MS },
  // The client decides how long a wait lasts.
  WaitProcess: {},
};

/**
 * The limits of the protocols: 120 s for calls that boot or stop a VM, 30 s for other unary calls, none for waits and streams.
 */
export const deadlinesOf = (method: DescMethod): DeadlineLimits =>
  BY_NAME[method.name] ?? (method.methodKind === "unary" ? UNARY : {});

/** The deadline of a call that starts at `nowMs`, given the client's (both in milliseconds since the epoch). */
export function effectiveDeadline(
  limits: DeadlineLimits,
  clientDeadlineMs: number | undefined,
  nowMs: number,
): number | undefined {
  const wanted = clientDeadlineMs ?? (limits.defaultMs === undefined ? undefined : nowMs + limits.defaultMs);
  if (wanted === undefined || limits.maxMs === undefined) return wanted;
  return Math.min(wanted, nowMs + limits.maxMs);
}

/**
 * A controller that aborts at `deadlineMs` (milliseconds since the epoch) with a `PaddockError` DEADLINE. Call `release` when the
 * work has ended, to drop the timer.
 */
export function deadlineController(
  deadlineMs: number | undefined,
  what: string,
): { readonly controller: AbortController; release(): void } {
  const controller = new AbortController();
  if (deadlineMs === undefined) return { controller, release: () => {} };
  const expire = () =>
    controller.abort(new PaddockError("DEADLINE", `${what} did not end before its deadline`));
  const delayMs = Math.max(0, deadlineMs - Date.now());
  if (delayMs > MAX_TIMER_MS) return { controller, release: () => {} };
  const timer = setTimeout(expire, delayMs);
  timer.unref();
  return { controller, release: () => clearTimeout(timer) };
}
