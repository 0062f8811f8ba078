/**
 * Ends a stream whose guest does not answer any more.
 *
 * A process may send nothing forever, so a silent stream says nothing about its guest. A guest whose kernel hangs, or whose
 * QEMU was stopped, keeps its end of the link open and sends nothing either. So while any call waits for a guest, the guest
 * gets a health check every 3 s, shared by all of them. It has 7 s to answer: an emulated guest on a busy host was seen to take
 * 5. Once a guest is known not to answer, the timeout is 2 s. A VM that is paused, or suspended by a full disk, is not checked.
 */
import { setTimeout as pause } from "node:timers/promises";
import { hasReason, PaddockError } from "@paddock/domain";
import type { AgentLink } from "../agent/agent-link.ts";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";

export type WatchTimes = {
  readonly askEveryMs: number;
  readonly patienceMs: number;
  readonly knownSilentMs: number;
};

const TIMES: WatchTimes = { askEveryMs: 3000, patienceMs: 7000, knownSilentMs: 2000 };

/** The health check in progress for each link, shared by all waiting calls. */
const ASKED = new WeakMap<AgentLink, Promise<void>>();

type Watched = Pick<LiveSandbox, "sandboxId" | "link" | "record"> & {
  readonly held?: PaddockError | undefined;
};

/** Whether the VM is paused, or suspended by a full disk: its guest cannot answer. */
export const isSuspended = ({ record, held }: Pick<Watched, "record" | "held">): boolean =>
  record.phase.kind === "paused" || held !== undefined;

/** A signal for calls that wait for a guest: aborts with `signal`, or with GUEST_UNAVAILABLE when the guest is silent. */
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
      if (this.#isSuspended) {
        heardMs = Date.now();
        continue;
      }
      const patienceMs = this.#known ? this.#times.knownSilentMs : this.#times.patienceMs;
      const failure = await this.#ask(link, patienceMs);
      if (stop.aborted) return;
      if (failure === undefined || this.#isSuspended) heardMs = Date.now();
      else {
        this.#silent.abort(silent(this.#sandbox, heardMs, failure));
        return;
      }
    }
  }

  get #known(): boolean {
    return this.#sandbox.record.unhealthy !== undefined;
  }

  /** Checked again after an answer: the VM may have been paused in between. */
  get #isSuspended(): boolean {
    return isSuspended(this.#sandbox);
  }

  /** The failure of the health check, or undefined. */
  async #ask(link: AgentLink, patienceMs: number): Promise<unknown> {
    const asked = ASKED.get(link) ?? ask(link, patienceMs).finally(() => ASKED.delete(link));
    ASKED.set(link, asked);
    return await asked.then(
      () => undefined,
      (error: unknown) => error ?? new Error("no answer"),
    );
  }
}

/**
 * A link that breaks during the check says nothing about the guest: it is asked again on the next link, within the same
 * timeout.
 */
async function ask(link: AgentLink, patienceMs: number): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  for (;;) {
    const leftMs = () => Math.max(1, Math.ceil(untilMs - performance.now()));
    const agent = await link.client({ deadlineMs: leftMs() });
    try {
      await agent.sandbox.getGuest({}, { timeoutMs: leftMs() });
      return;
    } catch (error) {
      if (agent.end === undefined || performance.now() >= untilMs) throw error;
    }
  }
}

function silent({ sandboxId, record }: Watched, heardMs: number, cause: unknown): PaddockError {
  // A closed link has the cause: the VM has ended.
  if (hasReason(cause, "VM_UNAVAILABLE")) return cause;
  const since = new Date(heardMs).toISOString();
  const known = record.unhealthy === undefined ? "" : `: ${record.unhealthy}`;
  return new PaddockError("GUEST_UNAVAILABLE", `the guest of sandbox ${sandboxId} does not answer${known}`, {
    metadata: { silent_since: since },
    hint: "the process may still run: attach again when the guest answers, or stop the sandbox with force",
    cause,
  });
}
