/**
 * The link to a guest's agent for as long as its VM lives, over any number of connections.
 *
 * ```text
 *                  READY
 *   connecting ------------> up
 *      ^  | failed            | the connection ended
 *      |  v                   |
 *     waiting <---------------+          any state -- close(cause) --> closed
 * ```
 *
 * A connection that ends (agent's protocol error, a flood) is reopened after a pause that doubles up to a bound. Only a connection
 * that lasted resets the pause, so a dead or hostile guest causes a few wake-ups a minute. An attempt without an answer is repeated
 * on another socket: a guest that is booting or paused answers on either, and a stuck socket is freed. This object does not know
 * whether the VM runs: its owner calls `close` with the recorded cause.
 */
import { setTimeout as pause } from "node:timers/promises";
import { PaddockError } from "@paddock/domain";
import { Changes } from "@paddock/lifecycle";
import { type AgentClient, connectAgent } from "./connect-agent.ts";
import type { StealReader } from "./vm-deadline.ts";

export type LinkState =
  | { readonly kind: "connecting"; readonly attempt: number }
  | { readonly kind: "up"; readonly agent: AgentClient; readonly sinceMs: number }
  | { readonly kind: "waiting"; readonly error: PaddockError; readonly pauseMs: number }
  | { readonly kind: "closed"; readonly error: PaddockError };

export type AgentLinkOptions = {
  readonly socketPath: string;
  /** Timeout of an attempt, in ms. It doubles from the first to the longest, and is the first again after a good connection. */
  readonly attemptMs?: { readonly first: number; readonly longest: number };
  /** First pause between attempts, and the longest, in ms. */
  readonly pauseMs?: { readonly first: number; readonly longest: number };
  /** How long a connection must last to count as a good one, in ms. */
  readonly goodAfterMs?: number;
  /** Called with each new state; must not throw. */
  readonly onState?: (state: LinkState) => void;
  /** Steal time of the VM: it does not count in the deadlines of calls. Not set means none. */
  readonly steal?: StealReader;
};

export type WaitOptions = {
  /** Timeout in ms; not set means until the signal or the link's end. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
};

export class AgentLink implements Disposable {
  readonly #options: Required<AgentLinkOptions>;
  readonly #closing = new AbortController();
  #state: LinkState = { kind: "connecting", attempt: 1 };
  /** Why the last connection ended; kept while the next one is tried. */
  #lastError: PaddockError | undefined;
  readonly #changes = new Changes();

  /** Starts to connect. */
  constructor(options: AgentLinkOptions) {
    this.#options = {
      attemptMs: { first: 4000, longest: 60_000 },
      pauseMs: { first: 25, longest: 5000 },
      goodAfterMs: 10_000,
      onState: () => undefined,
      steal: () => 0,
      ...options,
    };
    void this.#run();
  }

  get state(): LinkState {
    return this.#state;
  }

  /**
   * The agent on a connection that is up, now or as soon as there is one. Throws the cause given to `close`,
   * GUEST_UNAVAILABLE when `deadlineMs` passes (with the reason why the last attempt failed), or the signal's reason.
   */
  async client(options: WaitOptions = {}): Promise<AgentClient> {
    const up = this.#ready();
    if (up !== undefined) return up;
    const { deadlineMs, signal } = options;
    const deadline = deadlineMs === undefined ? undefined : AbortSignal.timeout(deadlineMs);
    const stop = AbortSignal.any([signal, deadline].filter((each) => each !== undefined));
    for (;;) {
      await this.#changes.next(stop).catch(() => {
        signal?.throwIfAborted();
        throw this.#late(deadlineMs ?? 0);
      });
      const agent = this.#ready();
      if (agent !== undefined) return agent;
    }
  }

  /** Closes the link: calls in progress and waiters fail with `error`. Only the first call counts. */
  close(error: PaddockError): void {
    if (this.#state.kind === "closed") return;
    const before = this.#state;
    this.#enter({ kind: "closed", error });
    this.#closing.abort(error);
    if (before.kind === "up") before.agent.close(error);
  }

  [Symbol.dispose](): void {
    this.close(new PaddockError("GUEST_UNAVAILABLE", "the node closed the link to the guest"));
  }

  #ready(): AgentClient | undefined {
    if (this.#state.kind === "closed") throw this.#state.error;
    return this.#state.kind === "up" && this.#state.agent.end === undefined ? this.#state.agent : undefined;
  }

  #late(deadlineMs: number): PaddockError {
    const last = this.#lastError === undefined ? "" : `: ${this.#lastError.message}`;
    return new PaddockError("GUEST_UNAVAILABLE", `no link to the guest within ${deadlineMs} ms${last}`);
  }

  #enter(state: LinkState): void {
    this.#state = state;
    this.#changes.notify();
    this.#options.onState(state);
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { pauseMs: pauses, attemptMs: attempts, goodAfterMs } = this.#options;
    let pauseMs = pauses.first;
    let attemptMs = attempts.first;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      if (attempt > 1) this.#enter({ kind: "connecting", attempt });
      const { error, lastedMs } = await this.#connection(attemptMs);
      if (signal.aborted) return;
      this.#lastError = error;
      attemptMs = lastedMs > 0 ? attempts.first : Math.min(attemptMs * 2, attempts.longest);
      if (lastedMs > goodAfterMs) pauseMs = pauses.first;
      this.#enter({ kind: "waiting", error, pauseMs });
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, pauses.longest);
    }
  }

  /** One connection from its beginning to its end: why it ended, and how long it was up. */
  async #connection(deadlineMs: number): Promise<{ error: PaddockError; lastedMs: number }> {
    const { socketPath, steal } = this.#options;
    const { signal } = this.#closing;
    try {
      const agent = await connectAgent({ socketPath, deadlineMs, signal, steal });
      const sinceMs = performance.now();
      if (this.#state.kind === "closed") agent.close(this.#state.error);
      else this.#enter({ kind: "up", agent, sinceMs });
      const { error } = await agent.closed;
      return { error, lastedMs: performance.now() - sinceMs };
    } catch (error) {
      if (error instanceof PaddockError) return { error, lastedMs: 0 };
      const what = "connecting to the guest failed";
      return { error: new PaddockError("INTERNAL", what, { cause: error }), lastedMs: 0 };
    }
  }
}
