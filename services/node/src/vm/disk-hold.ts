/**
 * Suspends a VM while its host's disk is full.
 *
 *     runs -- BLOCK_IO_ERROR, action "stop" --> held -- room: cont, RESUME --> runs
 *
 * QEMU keeps the failed write and repeats it when the VM continues: the guest loses nothing, while an error would make it lose its
 * file system. No event reports free space, so it is checked periodically while the VM is suspended.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Monitor } from "@paddock/qemu";

const LOOK_MS = 1000;
const CONTINUE_TIMEOUT_MS = 5000;
/** With less, QEMU would stop it again at once. */
const ROOM_BYTES = 16 * 1024 * 1024;

export type DiskHoldParts = {
  readonly monitor: Monitor;
  /** Free bytes of the file system of the VM's disks. */
  readonly freeBytes: () => Promise<number>;
  /** Called when the suspension begins and ends. */
  readonly onChange: () => void;
};

export class DiskHold implements Disposable {
  /** Whether the vCPUs are also paused on request: then room alone does not resume them. */
  isPaused = false;
  readonly #parts: DiskHoldParts;
  #holding: AbortController | undefined;

  constructor(parts: DiskHoldParts) {
    this.#parts = parts;
    const { session } = parts.monitor;
    session.on("BLOCK_IO_ERROR", ({ data }) => {
      if (data.action === "stop") this.begin();
    });
    session.on("RESUME", () => {
      if (this.#holding === undefined) return;
      this.#stop();
      parts.onChange();
    });
  }

  get isHeld(): boolean {
    return this.#holding !== undefined;
  }

  /** Begins with a VM that QEMU has already stopped. */
  begin(): void {
    if (this.#holding !== undefined) return;
    this.#holding = new AbortController();
    void this.#waitForRoom(this.#holding.signal);
    this.#parts.onChange();
  }

  /** Stops waiting; the state of the VM does not change. */
  [Symbol.dispose](): void {
    this.#stop();
  }

  #stop(): void {
    this.#holding?.abort();
    this.#holding = undefined;
  }

  async #waitForRoom(signal: AbortSignal): Promise<void> {
    const { freeBytes, monitor } = this.#parts;
    for (;;) {
      await pause(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined);
      // A failure to read the free space or to resume is retried; a closed monitor ends the loop from outside.
      const free = await freeBytes().catch(() => 0);
      if (signal.aborted) return;
      if (free < ROOM_BYTES || this.isPaused) continue;
      await monitor.resume({ timeoutMs: CONTINUE_TIMEOUT_MS }).catch(() => undefined);
    }
  }
}
