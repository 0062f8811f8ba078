/**
 * A VM that QEMU has stopped because the host's disk is full, until there is room again.
 *
 *     runs -- BLOCK_IO_ERROR, action "stop" --> held -- room: cont, RESUME --> runs
 *
 * QEMU keeps what the guest wanted to write and writes it when it goes on: the guest loses nothing, where an error would have cost
 * it its file system. Nothing tells of room, so free space is looked at, while a VM is held and at no other time.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Monitor } from "@paddock/qemu";

const LOOK_MS = 1000;
const CONTINUE_TIMEOUT_MS = 5000;
/** With less it would be stopped again at once. */
const ROOM_BYTES = 16 * 1024 * 1024;

export type DiskHoldParts = {
  readonly monitor: Monitor;
  /** Of the file system that its disks are on. */
  readonly freeBytes: () => Promise<number>;
  /** Told when it begins and when it ends. */
  readonly onChange: () => void;
};

export class DiskHold implements Disposable {
  /** Whether the vCPUs are stopped on request as well: room alone does not let them go on then. */
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

  /** For a VM that was found stopped so. */
  begin(): void {
    if (this.#holding !== undefined) return;
    this.#holding = new AbortController();
    void this.#waitForRoom(this.#holding.signal);
    this.#parts.onChange();
  }

  /** Looks no more; the VM stays as it is. */
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
      // What cannot be looked at, or asked, is tried again; a monitor that is gone ends this from outside.
      const free = await freeBytes().catch(() => 0);
      if (signal.aborted) return;
      if (free < ROOM_BYTES || this.isPaused) continue;
      await monitor.resume({ timeoutMs: CONTINUE_TIMEOUT_MS }).catch(() => undefined);
    }
  }
}
