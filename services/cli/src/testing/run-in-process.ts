/** Runs a command line in the test's own process, with separate streams and signals. */
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import type { FakeApi } from "@paddock/client/testing";
import { runCli } from "../program.ts";

export type Started = {
  readonly stdin: PassThrough;
  readonly signals: EventEmitter;
  readonly out: () => string;
  readonly err: () => string;
  readonly exit: Promise<number>;
  /** Closes stdout, as a reader that exits. */
  readonly closeOutput: () => void;
  /** Resolves when stdout and stderr together hold `text`. */
  readonly shows: (text: string) => Promise<void>;
};

export function startCli(
  api: Pick<FakeApi, "address"> | undefined,
  words: readonly string[],
  env: Record<string, string> = {},
): Started {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const signals = new EventEmitter();
  const ended = Promise.withResolvers<number>();
  const seen = { out: Buffer.alloc(0), err: Buffer.alloc(0) };
  const changes = new EventEmitter();
  stdout.on("data", (data: Buffer) => {
    seen.out = Buffer.concat([seen.out, data]);
    changes.emit("change");
  });
  stderr.on("data", (data: Buffer) => {
    seen.err = Buffer.concat([seen.err, data]);
    changes.emit("change");
  });
  const address = api ? { PADDOCK_API: api.address } : {};
  const around = {
    stdin,
    stdout,
    stderr,
    signals,
    exit: ended.resolve,
    env: { PADDOCK_STATE_DIR: "/nonexistent", ...address, ...env },
  };
  const text = () => `${seen.out}${seen.err}`;
  return {
    stdin,
    signals,
    out: () => seen.out.toString(),
    err: () => seen.err.toString(),
    exit: Promise.race([runCli(words, around), ended.promise]),
    closeOutput: () => stdout.destroy(),
    shows: (wanted) =>
      new Promise((resolve) => {
        const look = () => {
          if (!text().includes(wanted)) return;
          changes.off("change", look);
          resolve();
        };
        changes.on("change", look);
        look();
      }),
  };
}

/** Runs a command line to its end, with an empty stdin. */
export async function cli(
  api: Pick<FakeApi, "address"> | undefined,
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  const started = startCli(api, words, env);
  started.stdin.end();
  const code = await started.exit;
  return { code, out: started.out(), err: started.err() };
}
