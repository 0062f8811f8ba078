/** The output of a process as shown to clients. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { OutputStream, type ProcessOutput, ProcessOutputSchema } from "@paddock/protocol";
import type { OutputName, ProcessEvent } from "../agent/process-output.ts";
import { publicExitStatus } from "./exit-status.ts";

export const STREAMS = {
  stdout: OutputStream.STDOUT,
  stderr: OutputStream.STDERR,
} as const satisfies Record<OutputName, OutputStream>;

/** The message for an event; bytes are not copied. */
export const publicOutput = (event: ProcessEvent): ProcessOutput =>
  create(ProcessOutputSchema, { output: outputOf(event) });

function outputOf(event: ProcessEvent): NonNullable<MessageInitShape<typeof ProcessOutputSchema>["output"]> {
  switch (event.kind) {
    case "started": {
      const { execId, pid, stdinOffset, offsets, terminal } = event;
      const value = {
        execId,
        pid,
        terminal,
        stdinOffset: BigInt(stdinOffset),
        stdoutOffset: BigInt(offsets.stdout),
        stderrOffset: BigInt(offsets.stderr),
      };
      return { case: "started", value };
    }
    case "chunk": {
      const { stream, offset, data } = event;
      return { case: "chunk", value: { stream: STREAMS[stream], offset: BigInt(offset), data } };
    }
    case "gap": {
      const { stream, from, to } = event;
      const value = { stream: STREAMS[stream], fromOffset: BigInt(from), toOffset: BigInt(to) };
      return { case: "gap", value };
    }
    case "eof":
      return { case: "eof", value: { stream: STREAMS[event.stream], offset: BigInt(event.offset) } };
    case "stdinAck":
      return { case: "stdinAck", value: { offset: BigInt(event.offset) } };
    case "exited":
      return { case: "exited", value: publicExitStatus(event.status) };
    default:
      return event satisfies never;
  }
}
