/** Starts a process and disconnects from it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ExitStatus, ProcessSpec, ProcessSpecSchema } from "@paddock/protocol";
import { OutputCursor } from "./output-cursor.ts";
import { ProcessSession, type ProcessSessionOptions } from "./process-session.ts";

export type StartProcessOptions = Pick<
  ProcessSessionOptions,
  "client" | "address" | "timeoutMs" | "signal" | "onNotice"
> & {
  /** `output` is replaced: a full ring drops its oldest bytes, so the process never waits for a reader. */
  readonly process: Exclude<MessageInitShape<typeof ProcessSpecSchema>, ProcessSpec>;
};

/**
 * Starts the process. Resolves with undefined as soon as it runs, or with its exit status if it has ended already or could not be
 * executed. The process is started once, even if the connection breaks meanwhile. Throws `PaddockError`, or the reason of `signal`.
 */
export async function startProcess({
  process,
  signal,
  ...options
}: StartProcessOptions): Promise<ExitStatus | undefined> {
  const left = new AbortController();
  const nowhere = async () => {};
  const session = new ProcessSession({
    ...options,
    opening: { kind: "exec", process: { ...process, output: { dropOldest: true } } },
    stdout: new OutputCursor(nowhere),
    stderr: new OutputCursor(nowhere),
    signal: AbortSignal.any([left.signal, ...(signal ? [signal] : [])]),
    onStarted: ({ pid }) => {
      if (pid !== 0) left.abort();
    },
  });
  try {
    return await session.run();
  } catch (error) {
    if (left.signal.aborted) return undefined;
    throw error;
  }
}
