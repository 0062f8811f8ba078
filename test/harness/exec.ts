/** Runs a command with Exec and collects its output. */
import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ProcessSpecSchema } from "@paddock/protocol";
import { type ExecResponse, type ExitStatus, OutputStream, type ProcessOutput } from "@paddock/protocol";
import type { PaddockClient } from "./stack.ts";

export type Finished = {
  readonly execId: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: number;
  /** SHA-256 of stdout, in hex. */
  readonly stdoutDigest: string;
  readonly status: ExitStatus;
};

export type ExecOptions = {
  readonly sandboxId: string;
  readonly containerId: string;
  readonly execId?: string;
  readonly stdin?: string | Uint8Array;
  readonly process?: MessageInitShape<typeof ProcessSpecSchema>;
  readonly deadline?: Date;
};

/** Executes `args` to their end. Output beyond 1 MiB is only counted and hashed. */
export async function exec(client: PaddockClient, args: string[], options: ExecOptions): Promise<Finished> {
  const { sandboxId, containerId, execId = "" } = options;
  const call = client.processes.exec({ deadline: options.deadline ?? new Date(Date.now() + 60_000) });
  const withStdin = options.stdin !== undefined;
  const process = { ...options.process, args, stdin: withStdin };
  await call.write({ message: { case: "start", value: { sandboxId, containerId, execId, process } } });
  const written = writeStdin(call, options.stdin);
  written.catch(() => {});
  const gathered = await gather(call);
  await written;
  return gathered;
}

async function writeStdin(
  call: ReturnType<PaddockClient["processes"]["exec"]>,
  stdin: string | Uint8Array | undefined,
) {
  if (stdin === undefined) return;
  const bytes = Buffer.from(stdin);
  for (let at = 0; at < bytes.length; at += 65536) {
    const data = bytes.subarray(at, at + 65536);
    await call.write({ message: { case: "input", value: { input: { case: "stdin", value: { data } } } } });
  }
  await call.write({ message: { case: "input", value: { input: { case: "stdinEof", value: {} } } } });
}

/** Reads a stream of outputs to its end, and checks that no byte is missing, repeated or out of order. */
export async function gather(responses: AsyncIterable<Pick<ExecResponse, "output">>): Promise<Finished> {
  const gatherer = new OutputGatherer();
  for await (const { output } of responses) if (output) gatherer.take(output);
  return gatherer.finish();
}

export class OutputGatherer {
  execId = "";
  stdoutOffset = 0n;
  stderrOffset = 0n;
  readonly #hash = createHash("sha256");
  readonly #out: Uint8Array[] = [];
  readonly #err: Uint8Array[] = [];
  #kept = 0;
  #bytes = 0;
  #status: ExitStatus | undefined;

  take({ output }: ProcessOutput): void {
    switch (output.case) {
      case "started":
        this.execId = output.value.execId;
        return;
      case "chunk": {
        const { stream, offset, data } = output.value;
        const isOut = stream === OutputStream.STDOUT;
        const expected = isOut ? this.stdoutOffset : this.stderrOffset;
        if (offset !== expected)
          throw new Error(`a chunk of ${isOut ? "stdout" : "stderr"} begins at ${offset}, not ${expected}`);
        if (isOut) {
          this.stdoutOffset += BigInt(data.length);
          this.#hash.update(data);
          this.#bytes += data.length;
        } else {
          this.stderrOffset += BigInt(data.length);
        }
        if (this.#kept < 1 << 20) (isOut ? this.#out : this.#err).push(data);
        this.#kept += data.length;
        return;
      }
      case "gap":
        throw new Error(`bytes ${output.value.fromOffset} to ${output.value.toOffset} are lost`);
      case "exited":
        this.#status = output.value;
        return;
      case "eof":
      case "stdinAck":
      case undefined:
        return;
      default:
        output satisfies never;
    }
  }

  finish(): Finished {
    if (!this.#status) throw new Error("the stream ended without an exit status");
    return {
      execId: this.execId,
      stdout: Buffer.concat(this.#out).toString(),
      stderr: Buffer.concat(this.#err).toString(),
      stdoutBytes: this.#bytes,
      stdoutDigest: this.#hash.digest("hex"),
      status: this.#status,
    };
  }
}
