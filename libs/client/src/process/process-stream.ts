/** One Exec or one Attach behind one interface of inputs and outputs. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";
import { createWritableIterable } from "@connectrpc/connect/protocol";
import type {
  AttachResponse,
  ExecResponse,
  ProcessInputSchema,
  ProcessOutput,
  ProcessSpecSchema,
} from "@paddock/protocol";
import type { ApiClient } from "../api-client.ts";

/** Ids of a process. `execId` is the container's id for its init process, otherwise the id of its Exec. */
export type ProcessAddress = {
  readonly sandboxId: string;
  readonly containerId: string;
  readonly execId: string;
};

export type ProcessInputInit = NonNullable<MessageInitShape<typeof ProcessInputSchema>["input"]>;

/** How to reach the process: start it, or attach at byte offsets. A missing offset means the oldest byte held. */
export type Opening =
  | { readonly kind: "exec"; readonly process: MessageInitShape<typeof ProcessSpecSchema> }
  | {
      readonly kind: "attach";
      readonly stdoutOffset: bigint | undefined;
      readonly stderrOffset: bigint | undefined;
    };

export interface ProcessStream {
  /** Resolves when the transport has accepted the input. Never rejects: `outputs` reports a broken call. */
  send(input: ProcessInputInit): Promise<void>;
  /** No more inputs. */
  end(): void;
  cancel(): void;
  readonly outputs: AsyncIterator<ProcessOutput>;
}

/** Opens the stream and sends its first message. */
export function openProcessStream(
  client: Pick<ApiClient, "processes">,
  address: ProcessAddress,
  opening: Opening,
  options: CallOptions,
): ProcessStream {
  const cancelled = new AbortController();
  const signal = AbortSignal.any([cancelled.signal, ...(options.signal ? [options.signal] : [])]);
  const call = { ...options, signal };
  const inputs = createWritableIterable<ProcessInputInit>();
  const responses =
    opening.kind === "exec"
      ? client.processes.exec(
          requests({ ...address, process: opening.process, explicitAck: true }, inputs),
          call,
        )
      : client.processes.attach(
          requests({ ...address, ...offsetsOf(opening), explicitAck: true }, inputs),
          call,
        );
  return {
    send: (input) => inputs.write(input).catch(() => {}),
    end: () => inputs.close(),
    cancel: () => {
      cancelled.abort();
      inputs.close();
    },
    outputs: outputsOf(responses),
  };
}

const offsetsOf = ({ stdoutOffset, stderrOffset }: Extract<Opening, { kind: "attach" }>) => ({
  ...(stdoutOffset !== undefined && { stdoutOffset }),
  ...(stderrOffset !== undefined && { stderrOffset }),
});

/** The requests of a stream: the start, then the inputs. */
async function* requests<S>(start: S, inputs: AsyncIterable<ProcessInputInit>) {
  yield { message: { case: "start" as const, value: start } };
  for await (const input of inputs) yield { message: { case: "input" as const, value: { input } } };
}

async function* outputsOf(
  messages: AsyncIterable<ExecResponse | AttachResponse>,
): AsyncGenerator<ProcessOutput> {
  for await (const { output } of messages) if (output) yield output;
}
