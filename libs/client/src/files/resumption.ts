/** When a transfer whose stream broke may open another one. */
import { PaddockError } from "@paddock/domain";
import { isRefused, isTransient } from "../call-failure.ts";
import { backoffMs, sleep } from "../retry.ts";

/** How long a transfer that makes no progress is tried, in milliseconds. The guest keeps one for 60 s. */
const RESUME_MS = 50_000;
/** The same if the api reports that the VM itself is lost. */
const RESUME_LOST_VM_MS = 5_000;

/** An event of a transfer that the user should see. */
export type TransferNotice = "connection_lost" | "connected_again";

export type ResumptionOptions = {
  /** Ends the transfer with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  readonly onNotice?: ((notice: TransferNotice) => void) | undefined;
};

export class Resumption {
  readonly #options: ResumptionOptions;
  #hasStarted = false;
  #isLost = false;
  #lostSinceMs: number | undefined;
  #attempt = 0;

  constructor(options: ResumptionOptions) {
    this.#options = options;
  }

  /** Whether a stream was ever answered. */
  get hasStarted(): boolean {
    return this.#hasStarted;
  }

  /** The guest has answered the stream. */
  started(): void {
    this.#hasStarted = true;
    if (this.#isLost) this.#options.onNotice?.("connected_again");
    this.#isLost = false;
  }

  /** Bytes were transferred. A stream that starts and transfers nothing does not count. */
  progressed(): void {
    this.#lostSinceMs = undefined;
    this.#attempt = 0;
  }

  /** Waits until the next stream may be opened. Throws `error` if there is to be none. */
  async wait(error: unknown): Promise<void> {
    const { signal, onNotice } = this.#options;
    if (!(error instanceof PaddockError) || signal?.aborted || !isTransient(error)) throw error;
    if (!this.#hasStarted && this.#attempt === 0 && isRefused(error)) throw error;
    const now = performance.now();
    this.#lostSinceMs ??= now;
    const patienceMs = error.reason === "VM_UNAVAILABLE" ? RESUME_LOST_VM_MS : RESUME_MS;
    if (now - this.#lostSinceMs > patienceMs) throw error;
    if (!this.#isLost) onNotice?.("connection_lost");
    this.#isLost = true;
    await sleep(Math.max(error.retryAfterMs ?? 0, backoffMs(this.#attempt)), signal);
    this.#attempt += 1;
  }
}
