/**
 * A deadline in the time of a VM. An emulated guest on a crowded host was seen to get a twentieth of a CPU: it is slow, but it
 * works. So time in which the host had no CPU for the VM does not count, up to a bound. A guest that hangs, or whose QEMU is
 * stopped, does not wait for a CPU, so its deadline passes in time.
 */

/** Steal time of the VM so far, in ms; the figure may be `maxAgeMs` old. */
export type StealReader = (maxAgeMs: number) => number;

/** A deadline is extended to at most this many times its length. */
const MAX_STRETCH = 6;
/** Reading steal time takes about 0.1 ms, so not every call reads it. */
const FIGURE_AGE_MS = 1000;
/** A shorter extension is not worth a timer. */
const SLACK_MS = 50;

export class VmDeadline implements Disposable {
  readonly signal: AbortSignal;
  /** Steal time since the start, in ms, read when the deadline was last checked. */
  stolenMs = 0;
  readonly #over = new AbortController();
  readonly #begunMs = performance.now();
  readonly #timeoutMs: number;
  readonly #steal: StealReader;
  readonly #stealBefore: number;
  #timer: NodeJS.Timeout | undefined;

  /** A `timeoutMs` of 0 or less means no deadline. The signal also aborts with `signal`. */
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
