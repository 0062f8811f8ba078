/** The process that converts one archive; see `conversion-process.ts`. It receives its job and sends its result as messages. */
import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import {
  type ConversionJob,
  type ConversionResult,
  convertArchive,
  type ImportProgress,
} from "./convert-archive.ts";
import { ImageError, type ImageErrorKind } from "./image-error.ts";

export interface ConversionRequest {
  readonly job: ConversionJob;
}

export type ConversionReply =
  | { readonly kind: "progress"; readonly progress: ImportProgress }
  | { readonly kind: "result"; readonly result: ConversionResult }
  | {
      readonly kind: "refusal";
      readonly error: ImageErrorKind;
      readonly what: string;
      readonly hint: string;
      readonly cause: string | undefined;
    }
  | { readonly kind: "bug"; readonly message: string; readonly stack: string | undefined };

/** Below the priority of the daemon, so that calls are served first on a busy host. */
const niceness = 10;
/** Minimum interval of progress messages, because each one costs the daemon time. */
const progressEveryMs = 50;

lowerPriority();
// The daemon has ended or no longer waits. The process group includes mksquashfs.
process.once("disconnect", () => process.kill(-process.pid, "SIGKILL"));
process.once("message", ({ job }: ConversionRequest) => {
  const never = new AbortController().signal;
  const progress = new Throttle((message) => send({ kind: "progress", progress: message }));
  void convertArchive(job, { signal: never, onProgress: (each) => progress.push(each) }).then(
    (result) => {
      progress.flush();
      answer({ kind: "result", result });
    },
    (error: unknown) => answer(failure(error)),
  );
});

function lowerPriority(): void {
  try {
    setPriority(niceness);
    // When memory runs out, the kernel kills this process before the daemon.
    writeFileSync("/proc/self/oom_score_adj", "500");
  } catch {
    // Best effort: a host may forbid it.
  }
}

function send(reply: ConversionReply): void {
  process.send?.(reply);
}

function answer(reply: ConversionReply): void {
  process.send?.(reply, undefined, undefined, () => process.exit(0));
}

function failure(error: unknown): ConversionReply {
  if (error instanceof ImageError) {
    const { kind, what, hint, cause } = error;
    return {
      kind: "refusal",
      error: kind,
      what,
      hint,
      cause: cause === undefined ? undefined : String(cause),
    };
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { kind: "bug", message, stack };
}

/** Passes on the first and the last progress of each phase, and the others at a limited rate. */
class Throttle {
  readonly #send: (progress: ImportProgress) => void;
  #held: ImportProgress | undefined;
  #phase = "";
  #sentAtMs = 0;

  constructor(pass: (progress: ImportProgress) => void) {
    this.#send = pass;
  }

  push(progress: ImportProgress): void {
    if (progress.phase !== this.#phase) this.flush();
    const nowMs = performance.now();
    if (progress.phase === this.#phase && nowMs - this.#sentAtMs < progressEveryMs) {
      this.#held = progress;
      return;
    }
    this.#phase = progress.phase;
    this.#sentAtMs = nowMs;
    this.#held = undefined;
    this.#send(progress);
  }

  flush(): void {
    if (this.#held !== undefined) this.#send(this.#held);
    this.#held = undefined;
  }
}
