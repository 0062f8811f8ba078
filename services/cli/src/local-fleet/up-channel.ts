/**
 * How the process in the background tells the one in front how its start goes: a JSON object on each line of a pipe.
 *
 *   {"begin": label} {"done": text, "ms": n} … then {"ready": true} or {"failed": {message, hint, details}}
 */
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { CliError } from "../cli-error.ts";
import type { Report } from "./local-fleet.ts";

export const CHANNEL_FD = 3;

type Message = {
  readonly begin?: string;
  readonly done?: string;
  readonly ready?: boolean;
  readonly failed?: {
    readonly message: string;
    readonly hint?: string | undefined;
    readonly details: readonly string[];
  };
};

const tell = (message: Message): void => {
  try {
    writeSync(CHANNEL_FD, `${JSON.stringify(message)}\n`);
  } catch {
    // Whoever waited for it has gone; the work goes on.
  }
};

/** The writing side. */
export const channelReport: Report = async (label, work, done) => {
  tell({ begin: label });
  const value = await work();
  tell({ done: done(value) });
  return value;
};

export const tellReady = (): void => tell({ ready: true });

export function tellFailed(error: unknown): void {
  const known =
    error instanceof CliError ? error : new CliError(error instanceof Error ? error.message : String(error));
  tell({ failed: { message: known.message, hint: known.hint, details: known.details } });
}

/** The reading side: shows each phase, and ends when the fleet is ready. Throws what failed it. */
export async function followStart(pipe: NodeJS.ReadableStream, report: Report): Promise<void> {
  let finish: ((text: string) => void) | undefined;
  let abandon: ((error: CliError) => void) | undefined;
  let shown: Promise<unknown> = Promise.resolve();
  for await (const line of createInterface({ input: pipe })) {
    const message: Message = JSON.parse(line);
    if (message.begin !== undefined) {
      const phase = Promise.withResolvers<string>();
      [finish, abandon] = [phase.resolve, phase.reject];
      shown = report(
        message.begin,
        () => phase.promise,
        (text) => text,
      );
      shown.catch(() => {});
    }
    if (message.done !== undefined) finish?.(message.done);
    await (message.done === undefined ? undefined : shown);
    if (message.failed) {
      const { message: what, hint, details } = message.failed;
      const error = new CliError(what, { hint, details });
      abandon?.(error);
      throw error;
    }
    if (message.ready) return;
  }
  const error = new CliError("the process in the background ended before all parts were ready");
  abandon?.(error);
  throw error;
}
