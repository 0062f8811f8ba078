/** One Exec or one Attach, behind one face: inputs go in, outputs come out. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  AttachResponse,
  ExecResponse,
  ProcessInputSchema,
  ProcessOutput,
  ProcessSpecSchema,
} from "@paddock/protocol";
import type { CallOptions } from "@paddock/rpc";
import type { Api } from "../client/api.ts";

export type ProcessAddress = {
  readonly sandboxId: string;
  readonly containerId: string;
  readonly execId: string;
};

export type ProcessInputInit = NonNullable<MessageInitShape<typeof ProcessInputSchema>["input"]>;

export type Opening =
  | { readonly kind: "exec"; readonly process: MessageInitShape<typeof ProcessSpecSchema> }
  | {
      readonly kind: "attach";
      readonly stdoutOffset: bigint | undefined;
      readonly stderrOffset: bigint | undefined;
    };

export interface ProcessStream {
  /** Resolves when the transport has taken it. A broken call is told by `outputs`, never here. */
  send(input: ProcessInputInit): Promise<void>;
  end(): void;
  cancel(): void;
  readonly outputs: AsyncIterator<ProcessOutput>;
}

/** Opens the stream and sends its first message. */
export function openProcessStream(
  api: Pick<Api, "processes">,
  address: ProcessAddress,
  opening: Opening,
  options: CallOptions,
): ProcessStream {
  if (opening.kind === "exec") {
    const call = api.processes.exec(options);
    void quietly(
      call.write({
        message: { case: "start", value: { ...address, process: opening.process, explicitAck: true } },
      }),
    );
    return streamOf(call, (input) => quietly(call.write({ message: { case: "input", value: { input } } })));
  }
  const offsets = {
    ...(opening.stdoutOffset === undefined ? {} : { stdoutOffset: opening.stdoutOffset }),
    ...(opening.stderrOffset === undefined ? {} : { stderrOffset: opening.stderrOffset }),
  };
  const call = api.processes.attach(options);
  void quietly(
    call.write({ message: { case: "start", value: { ...address, ...offsets, explicitAck: true } } }),
  );
  return streamOf(call, (input) => quietly(call.write({ message: { case: "input", value: { input } } })));
}

type Call = AsyncIterable<ExecResponse | AttachResponse> & { end(): void; cancel(): void };

const streamOf = (call: Call, send: ProcessStream["send"]): ProcessStream => ({
  send,
  end: () => call.end(),
  cancel: () => call.cancel(),
  outputs: outputsOf(call),
});

const quietly = (write: Promise<void>): Promise<void> => write.catch(() => {});

async function* outputsOf(
  messages: AsyncIterable<ExecResponse | AttachResponse>,
): AsyncGenerator<ProcessOutput> {
  for await (const { output } of messages) if (output) yield output;
}
