/**
 * Restarts a part that exits by itself, after a pause that doubles with each failure. The pause is short again once the part has
 * run for a while. A part that becomes ready and then dies counts as a failure.
 */
import { CliError } from "../cli-error.ts";

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const STABLE_MS = 30_000;

export type KeptPart = {
  readonly title: string;
  /** How it ended, as text. */
  readonly ended: Promise<string>;
};

export type KeepOptions = {
  /** The running part. */
  readonly current: () => KeptPart;
  /** Starts it again and waits until it is ready. */
  readonly restart: () => Promise<void>;
  /** Called with what ended or failed, and when it is restarted. */
  readonly onNote: (note: string) => void;
  readonly isStopping: () => boolean;
  readonly sleep: (ms: number) => Promise<void>;
  readonly nowMs: () => number;
};

/** Runs until the fleet is stopped. Never rejects. */
export async function keepPart(options: KeepOptions): Promise<void> {
  const { current, restart, onNote, isStopping, sleep, nowMs } = options;
  let pauseMs = FIRST_MS;
  for (;;) {
    const { title, ended } = current();
    const beganMs = nowMs();
    const how = await ended;
    if (nowMs() - beganMs >= STABLE_MS) pauseMs = FIRST_MS;
    onNote(`the ${title} ${how}`);
    for (let isUp = false; !isUp; ) {
      if (isStopping()) return;
      onNote(`the ${title} will be restarted in ${pauseMs} ms`);
      await sleep(pauseMs);
      if (isStopping()) return;
      pauseMs = Math.min(pauseMs * 2, LONGEST_MS);
      isUp = await restart().then(
        () => true,
        (error: unknown) => {
          onNote(textOf(error));
          return false;
        },
      );
    }
    onNote(`the ${title} is running again`);
  }
}

function textOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const lines =
    error instanceof CliError ? [...error.details, ...(error.hint ? [`hint: ${error.hint}`] : [])] : [];
  return [message, ...lines].join("\n");
}
