/** Messages of Exec, as tests send and read them. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ExecRequest,
  ExecResponseSchema,
  OutputStream,
  type ProcessInput,
  type ProcessOutputSchema,
} from "@paddock/protocol";

/** Bytes of a chunk. */
export const CHUNK = 65_536;

export const start = (explicitAck = false) => ({
  message: {
    case: "start" as const,
    value: { sandboxId: "s", containerId: "c", process: { args: ["x"] }, explicitAck },
  },
});
export const input = (value: ProcessInput["input"]) => ({
  message: { case: "input" as const, value: { input: value } },
});
export const stdin = (data: Uint8Array) =>
  input({ case: "stdin", value: { $typeName: "paddock.v1.StdinData", data } });
export const respond = (output: MessageInitShape<typeof ProcessOutputSchema>) =>
  create(ExecResponseSchema, { output });
export const chunk = (offset: number, data: Uint8Array) =>
  respond({
    output: { case: "chunk", value: { stream: OutputStream.STDOUT, offset: BigInt(offset), data } },
  });
export const exited = () => respond({ output: { case: "exited", value: { code: 0 } } });

/** Bytes that differ at each offset, so that a duplicated or swapped chunk changes the digest. */
export function bytesAt(offset: number): Uint8Array {
  const data = new Uint8Array(CHUNK);
  new DataView(data.buffer).setFloat64(0, offset);
  data.fill((offset / CHUNK) % 251, 8);
  return data;
}
/** The kinds of messages that the node receives after `start`, until the client half-closes. */
export function inputsOf(
  requests: AsyncIterable<ExecRequest>,
  onInput: (input: ProcessInput["input"]) => void,
) {
  return (async () => {
    for await (const { message } of requests) {
      if (message.case === "input") onInput(message.value.input);
    }
  })();
}

export async function drained(responses: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of responses);
}
