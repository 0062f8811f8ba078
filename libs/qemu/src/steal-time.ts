/**
 * Steal time of a VM: how long it was ready to run while its host had no CPU for it. The kernel counts this for each thread, in the
 * second field of /proc/PID/task/TID/schedstat, in nanoseconds (Documentation/scheduler/sched-stats.rst), each time the thread gets
 * a CPU again. Where the kernel does not count it, steal time is 0.
 */
import { readFileSync } from "node:fs";
import { type ProcessIdentity, threadsOf } from "./process-identity.ts";

export class StealTime {
  readonly #identity: ProcessIdentity;
  #delays: ReadonlyMap<number, number>;
  #readAtMs = performance.now();
  #totalMs = 0;

  /** Counts from now on. */
  constructor(identity: ProcessIdentity) {
    this.#identity = identity;
    this.#delays = delaysOf(identity);
  }

  /**
   * Steal time in ms since this object was created, of the thread that waited most in each interval. It never decreases. A
   * figure of at most `maxAgeMs` ago is not read again.
   */
  read(maxAgeMs = 0): number {
    const nowMs = performance.now();
    const elapsedMs = nowMs - this.#readAtMs;
    if (elapsedMs < maxAgeMs) return this.#totalMs;
    const before = this.#delays;
    this.#delays = delaysOf(this.#identity);
    this.#readAtMs = nowMs;
    const waited = [...this.#delays].map(([thread, delay]) => delay - (before.get(thread) ?? delay));
    this.#totalMs += Math.min(elapsedMs, Math.max(0, ...waited));
    return this.#totalMs;
  }
}

/** By thread, in ms. A thread that ends while they are read is left out. */
function delaysOf(identity: ProcessIdentity): ReadonlyMap<number, number> {
  const delays = new Map<number, number>();
  for (const thread of threadsOf(identity)) {
    try {
      const [, waitedNs] = readFileSync(`/proc/${identity.pid}/task/${thread}/schedstat`, "utf8").split(" ");
      delays.set(thread, Number(waitedNs) / 1e6);
    } catch {}
  }
  return delays;
}
