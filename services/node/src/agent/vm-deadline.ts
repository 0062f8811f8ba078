/**
 * A deadline in the time of a VM. An emulated guest on a crowded host was seen to get a twentieth of a CPU: it is slow, and it is
 * there. So time in which the host had no CPU for the VM does not count, up to a bound. A guest that hangs, or whose QEMU
 * was stopped, does not wait for a CPU, so its deadline passes in time.
 */

/** Steal time of the VM so far, in ms; the figure may be `maxAgeMs` old. */
export type StealReader = (maxAgeMs: number) => number;

/** A deadline becomes at most this many times as long. */
const MAX_STRETCH = 6;
/** Reading steal time takes about 0.1 ms, so not every call reads it. */
const FIGURE_AGE_MS = 1000;
/** Less is not waited for. */
const SLACK_MS = 50;

export class VmDeadline implements Disposable {
  readonly signal: AbortSignal;
  /** Steal time within the deadline, in ms, as it was when the deadline last came. */
  stolenMs = 0;
  readonly #over = new AbortController();
  readonly #begunMs = performance.now();
  readonly #timeoutMs: number;
  readonly #steal: StealReader;
  readonly #stealBefore: number;
  #timer: NodeJS.Timeout | undefined;

  /** `timeoutMs` 0 or less means none. The signal aborts with `signal` too. */
  constructor(timeoutMs: number, steal: StealReader, signal: AbortSignal | undefined) {
    this.#timeoutMs = timeoutMs;
    this.#steal = steal;
    this.#stealBefore = timeoutMs > 0 ? steal(FIGURE_AGE_MS) : 0;
    this.signal = signal === undefined ? this.#over.signal : AbortSignal.any([signal, this.#over.signal]);
    if (timeoutMs > 0) this.#timer = setTimeout(() => this.#due(), timeoutMs);
  }

  /** Whether the deadline has passed. */
  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #due(): void {
    const elapsedMs = performance.now() - this.#begunMs;
    this.stolenMs = Math.min(elapsedMs, this.#steal(0) - this.#stealBefore);
    const leftMs = Math.min(this.#timeoutMs + this.stolenMs, this.#timeoutMs * MAX_STRETCH) - elapsedMs;
    if (leftMs > SLACK_MS) this.#timer = setTimeout(() => this.#due(), leftMs);
    else this.#over.abort();
  }
}
