/**
 * Limits the rate of reading, so that one peer cannot use all of this process's time.
 *
 * A compromised QEMU, or a guest that makes QEMU send events, may send without end, and one event loop serves all VMs of a host. Each
 * packet, line and KiB costs tokens (a token bucket). The burst is enough for a well-behaved monitor. Data beyond it waits in the
 * socket, and its sender blocks.
 */
const BURST = 2048;
const EARNED_PER_MS = 1;
/** Number of tokens at which reading resumes. */
const RESUME_AT = 100;

export class ReadPace {
  #earned = BURST;
  #countedAt = performance.now();

  /** Pays for one packet or line of this size. Returns how long to wait before the next read, in ms; usually 0. */
  pay(bytes: number): number {
    const now = performance.now();
    this.#earned = Math.min(BURST, this.#earned + (now - this.#countedAt) * EARNED_PER_MS);
    this.#countedAt = now;
    this.#earned -= 1 + bytes / 1024;
    return this.#earned >= 0 ? 0 : Math.ceil((RESUME_AT - this.#earned) / EARNED_PER_MS);
  }
}
