/**
 * Reports the start of the background process to the foreground process: a JSON object on each line of a pipe.
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

const send = (message: Message): void => {
  try {
    writeSync(CHANNEL_FD, `${JSON.stringify(message)}\n`);
  } catch {
    // The foreground process has ended; the start continues.
  }
};

/** The side of the background process. */
export const channelReport: Report = async (label, work, done) => {
  send({ begin: label });
  const value = await work();
  send({ done: done(value) });
  return value;
};

export const sendReady = (): void => send({ ready: true });

export function sendFailed(error: unknown): void {
  const known =
    error instanceof CliError ? error : new CliError(error instanceof Error ? error.message : String(error));
  send({ failed: { message: known.message, hint: known.hint, details: known.details } });
}

/** The side of the foreground process: shows each phase until the fleet is ready. Throws the error that the start failed with. */
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
