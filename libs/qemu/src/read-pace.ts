/**
 * Keeps one peer from taking all of this process's time with what it sends.
 *
 * A QEMU that its guest has taken over, or a guest that makes QEMU tell of something, may send events without end, and one event
 * loop serves all VMs of a host. Reading is paid for: by the packet, by the line, and by the KiB. What has been earned is enough for
 * whatever an honest monitor sends at once; what is beyond it waits in the socket, and so does its sender.
 */
const BURST = 2048;
const EARNED_PER_MS = 1;
/** How much is earned before reading goes on. */
const RESUME_AT = 100;

export class ReadPace {
  #earned = BURST;
  #countedAt = performance.now();

  /** Pays for one packet or line of so many bytes. Answers with the milliseconds to wait before the next; 0 mostly. */
  pay(bytes: number): number {
    const now = performance.now();
    this.#earned = Math.min(BURST, this.#earned + (now - this.#countedAt) * EARNED_PER_MS);
    this.#countedAt = now;
    this.#earned -= 1 + bytes / 1024;
    return this.#earned >= 0 ? 0 : Math.ceil((RESUME_AT - this.#earned) / EARNED_PER_MS);
  }
}
