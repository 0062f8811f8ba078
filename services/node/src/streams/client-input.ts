/** Checks a client's messages to a process, and passes them on. */
import { invalidField, requireSignal } from "@paddock/domain";
import { OutputStream, type ProcessInput } from "@paddock/protocol";
import type { ProcessInputs } from "../agent/process-inputs.ts";
import type { ByteOffsets } from "../agent/process-output.ts";

/**
 * Passes a message on. Returns its acknowledgement, if any. Outputs may be closed only with `closesOutputs`: those of an init
 * may not, because its log reads them. Throws INVALID_FIELD or STDIN_GAP.
 */
export function takeInput(
  { input }: ProcessInput,
  inputs: ProcessInputs,
  { closesOutputs }: { readonly closesOutputs: boolean },
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
      inputs.signal(requireSignal(input.value, "input.signal"));
      return undefined;
    case "ack":
      return { stdout: Number(input.value.stdoutOffset), stderr: Number(input.value.stderrOffset) };
    case "outputClose":
      if (!closesOutputs)
        throw invalidField(
          "input.output_close",
          "must not be set for a container's own process, whose log reads its output",
        );
      inputs.closeOutput(input.value.stream === OutputStream.STDERR ? "stderr" : "stdout");
      return undefined;
    case undefined:
      throw invalidField("input", "must be set");
    default:
      return input satisfies never;
  }
}

/** Refuses an acknowledgement of bytes that were not sent. */
export function checkAck(acknowledged: ByteOffsets, forwarded: ByteOffsets): void {
  if (acknowledged.stdout > forwarded.stdout || acknowledged.stderr > forwarded.stderr)
    throw invalidField("input.ack", "must not be beyond the received output");
}
