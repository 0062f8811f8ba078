/** Checks a client's messages to a process, and passes them on. */
import { PaddockError, parseSignal } from "@paddock/domain";
import { OutputStream, type ProcessInput } from "@paddock/protocol";
import type { ProcessInputs } from "../agent/process-inputs.ts";
import type { ByteOffsets } from "../agent/process-output.ts";

export type InputRules = {
  /** Whether an output may be closed. That of an init may not, since its log reads it. */
  readonly closesOutputs: boolean;
};

/** Passes a message on. Returns what it acknowledges, if anything. Throws INVALID_FIELD or STDIN_GAP. */
export function takeInput(
  { input }: ProcessInput,
  inputs: ProcessInputs,
  { closesOutputs }: InputRules,
): ByteOffsets | undefined {
  switch (input.case) {
    case "stdin":
      inputs.stdin(
        input.value.offset === undefined ? undefined : Number(input.value.offset),
        input.value.data,
      );
      return undefined;
    case "stdinEof":
      inputs.endStdin();
      return undefined;
    case "resize":
      inputs.resize(input.value);
      return undefined;
    case "signal":
      inputs.signal(signalNumber(input.value));
      return undefined;
    case "ack":
      return { stdout: Number(input.value.stdoutOffset), stderr: Number(input.value.stderrOffset) };
    case "outputClose":
      if (!closesOutputs)
        throw invalid(
          "input.output_close",
          "is not for a container's own process, whose log reads its output",
        );
      inputs.closeOutput(input.value.stream === OutputStream.STDERR ? "stderr" : "stdout");
      return undefined;
    case undefined:
      throw invalid("input", "must be set");
    default:
      return input satisfies never;
  }
}

/** Refuses an acknowledgement of bytes that were not sent. */
export function checkAck(acknowledged: ByteOffsets, forwarded: ByteOffsets): void {
  if (acknowledged.stdout > forwarded.stdout || acknowledged.stderr > forwarded.stderr)
    throw invalid("input.ack", "must not be beyond what was received");
}

function signalNumber(name: string): number {
  const number = parseSignal(name);
  if (number === undefined) throw invalid("input.signal", "must be a name such as SIGINT, or 1 to 64");
  return number;
}

const invalid = (field: string, description: string): PaddockError =>
  new PaddockError("INVALID_FIELD", `${field} ${description}`, { violations: [{ field, description }] });
