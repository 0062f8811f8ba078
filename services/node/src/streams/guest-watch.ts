/**
 * Ends a stream whose guest does not answer any more.
 *
 * A process may be silent for ever, and so may its exit, so a stream's silence says nothing. A guest whose kernel hangs, or whose
 * QEMU was stopped, keeps its end of the link open and says nothing either. So while anything waits for a guest, the guest is asked every
 * 3 s for a sign of life, once for all that wait. It has 7 s to give one: an emulated guest on a busy host was seen to take 5. With one that
 * is known not to answer nobody waits longer than 2 s. A VM that is paused, or stands still for want of disk space, is not asked.
 */
import { setTimeout as pause } from "node:timers/promises";
import { PaddockError } from "@paddock/domain";
import type { AgentLink } from "../agent/agent-link.ts";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";

export type WatchTimes = {
  readonly askEveryMs: number;
  readonly patienceMs: number;
  readonly knownSilentMs: number;
};

const TIMES: WatchTimes = { askEveryMs: 3000, patienceMs: 7000, knownSilentMs: 2000 };

/** The question under way to the guest of each link, which all that wait share. */
const ASKED = new WeakMap<AgentLink, Promise<void>>();

type Watched = Pick<LiveSandbox, "sandboxId" | "link" | "record"> & {
  readonly held?: PaddockError | undefined;
};

/** A signal for what waits for a guest: aborts with `signal`, or with GUEST_UNAVAILABLE when the guest is silent. Dispose it at the end. */
export class GuestWatch implements Disposable {
  readonly signal: AbortSignal;
  readonly #over = new AbortController();
  readonly #silent = new AbortController();
  readonly #sandbox: Watched;
  readonly #times: WatchTimes;

  constructor(sandbox: Watched, signal: AbortSignal, times: WatchTimes = TIMES) {
    this.#sandbox = sandbox;
    this.#times = times;
    this.signal = AbortSignal.any([signal, this.#silent.signal]);
    void this.#watch();
  }

  [Symbol.dispose](): void {
    this.#over.abort();
  }

  async #watch(): Promise<void> {
    const { link } = this.#sandbox;
    const stop = AbortSignal.any([this.signal, this.#over.signal]);
    let heardMs = Date.now();
    let waitMs = this.#known ? 0 : this.#times.askEveryMs;
    for (;;) {
      await pause(waitMs, undefined, { signal: stop }).catch(() => undefined);
      if (stop.aborted) return;
      waitMs = this.#times.askEveryMs;
      if (this.#standsStill) {
        heardMs = Date.now();
        continue;
      }
      const patienceMs = this.#known ? this.#times.knownSilentMs : this.#times.patienceMs;
      const failure = await this.#ask(link, patienceMs);
      if (stop.aborted) return;
      if (failure === undefined || this.#standsStill) heardMs = Date.now();
      else {
        this.#silent.abort(silent(this.#sandbox, heardMs, failure));
        return;
      }
    }
  }

  get #known(): boolean {
    return this.#sandbox.record.unhealthy !== undefined;
  }

  /** Pausing may come between a question and its answer. */
  get #standsStill(): boolean {
    return this.#sandbox.record.phase.kind === "paused" || this.#sandbox.held !== undefined;
  }

  /** Why there was no sign of life, or undefined. */
  async #ask(link: AgentLink, patienceMs: number): Promise<unknown> {
    const asked = ASKED.get(link) ?? ask(link, patienceMs).finally(() => ASKED.delete(link));
    ASKED.set(link, asked);
    return await asked.then(
      () => undefined,
      (error: unknown) => error ?? new Error("no answer"),
    );
  }
}

async function ask(link: AgentLink, patienceMs: number): Promise<void> {
  const { sandbox } = await link.client({ deadlineMs: patienceMs });
  await sandbox.getGuest({}, { timeoutMs: patienceMs });
}

function silent({ sandboxId, record }: Watched, heardMs: number, cause: unknown): PaddockError {
  // A link that was closed says why: the VM is gone.
  if (cause instanceof PaddockError && cause.reason === "VM_UNAVAILABLE") return cause;
  const since = new Date(heardMs).toISOString();
  const known = record.unhealthy === undefined ? "" : `: ${record.unhealthy}`;
  return new PaddockError("GUEST_UNAVAILABLE", `the guest of sandbox ${sandboxId} does not answer${known}`, {
    metadata: { silent_since: since },
    hint: "the process may go on: attach again when the guest answers, or stop the sandbox with force",
    cause,
  });
}

/** The same messages, until the guest falls silent. */
export async function* whileAnswering<T>(
  sandbox: Watched,
  signal: AbortSignal,
  open: (signal: AbortSignal) => AsyncIterable<T>,
): AsyncGenerator<T> {
  using watch = new GuestWatch(sandbox, signal);
  yield* open(watch.signal);
}
