/**
 * Ends a call whose guest owes an answer for too long, although its kernel runs: its disk may hang, or its agent.
 *
 * Only the time counts in which the guest owes an answer and this side waits for it. A client that reads slowly, or that sends
 * nothing, is no reason to end a call.
 */
import { type StealReader, VmDeadline } from "./vm-deadline.ts";

export type AnswerLimitOptions = {
  /** In ms of the VM. */
  readonly limitMs: number;
  readonly steal: StealReader;
  /** Whether the guest owes an answer; call `check` when that changes. */
  readonly isOwed: () => boolean;
  /** Whether the VM is paused or suspended: then the time starts again. */
  readonly isSuspended: () => boolean;
  /** Must end the call. */
  readonly onLate: () => void;
};

export class AnswerLimit implements Disposable {
  readonly #options: AnswerLimitOptions;
  #waiting = false;
  #deadline: VmDeadline | undefined;

  constructor(options: AnswerLimitOptions) {
    this.#options = options;
  }

  /** The answers of a call, each within the limit. */
  async *each<T>(answers: AsyncIterable<T>): AsyncGenerator<T> {
    const iterator = answers[Symbol.asyncIterator]();
    for (;;) {
      this.#waiting = true;
      this.check();
      const { done, value } = await iterator.next().finally(() => this[Symbol.dispose]());
      if (done) return;
      yield value;
    }
  }

  /** Starts the time if the guest owes an answer, and it has not started. */
  check(): void {
    const { limitMs, steal, isOwed } = this.#options;
    if (!this.#waiting || this.#deadline !== undefined || !isOwed()) return;
    this.#deadline = new VmDeadline(limitMs, steal, undefined);
    this.#deadline.signal.addEventListener("abort", () => this.#late(), { once: true });
  }

  [Symbol.dispose](): void {
    this.#waiting = false;
    this.#deadline?.[Symbol.dispose]();
    this.#deadline = undefined;
  }

  #late(): void {
    this.#deadline = undefined;
    if (this.#options.isSuspended()) this.check();
    else this.#options.onLate();
  }
}
