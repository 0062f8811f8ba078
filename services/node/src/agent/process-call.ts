/** Exec and Attach on one connection to the guest: messages in, checked events out. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { settlesWithin } from "@paddock/lifecycle";
import { agentpb } from "@paddock/protocol";
import { LANE_HEADER, LOG_LANE } from "./call-lanes.ts";
import type { AgentClient } from "./connect-agent.ts";
import type { InputMessage, ProcessInputs } from "./process-inputs.ts";
import { OutputCheck, type ProcessEvent } from "./process-output.ts";

export type AttachPoint = {
  readonly containerId: string;
  readonly execId: string;
  /** The first bytes wanted; not set means the oldest that the guest holds. */
  readonly stdout?: number | undefined;
  readonly stderr?: number | undefined;
};

/** Created once: an error captures a stack, which takes longer than the rest of ending a short call. */
const OVER = new PaddockError("CANCELLED", "the call is over");
const EMPTY = create(agentpb.ProcessOutputSchema);

/** How long the stream may take to end after its last message, in ms. */
const CLOSE_MS = 500;

type CallOptions = {
  readonly inputs: ProcessInputs;
  /** Ends the call; the process continues. */
  readonly signal: AbortSignal;
  /** Whether the daemon itself follows the process; clients' streams must not take the place for that. */
  readonly follower?: boolean;
};

const FOLLOWER = { headers: { [LANE_HEADER]: LOG_LANE } };

/** Starts a process and holds its output. Throws the errors of the agent's Exec, and GUEST_FAILED for an invalid message. */
export function execProcess(
  agent: AgentClient,
  start: MessageInitShape<typeof agentpb.ExecStartSchema> & { readonly execId: string },
  options: CallOptions,
): AsyncGenerator<ProcessEvent> {
  const first = { message: { case: "start", value: start } } as const;
  const check = new OutputCheck({ execId: start.execId, stdout: 0, stderr: 0 });
  return events(options, check, (inputs, signal) =>
    agent.processes.exec(requests(first, inputs), { signal }),
  );
}

/** Joins a process and holds its output from the given offsets. Throws the errors of the agent's Attach, and GUEST_FAILED. */
export function attachProcess(
  agent: AgentClient,
  { containerId, execId, stdout, stderr }: AttachPoint,
  options: CallOptions,
): AsyncGenerator<ProcessEvent> {
  const value: MessageInitShape<typeof agentpb.AttachStartSchema> = {
    containerId,
    execId,
    hold: true,
    ...(stdout !== undefined && { stdoutOffset: BigInt(stdout) }),
    ...(stderr !== undefined && { stderrOffset: BigInt(stderr) }),
  };
  const first = { message: { case: "start", value } } as const;
  const check = new OutputCheck({ execId, stdout, stderr });
  return events(options, check, (inputs, signal) =>
    agent.processes.attach(requests(first, inputs), { signal, ...(options.follower && FOLLOWER) }),
  );
}

async function* requests<S>(start: S, inputs: AsyncIterable<InputMessage>) {
  yield start;
  for await (const value of inputs) yield { message: { case: "input", value } } as const;
}

type Responses = AsyncIterable<{ readonly output?: agentpb.ProcessOutput | undefined }>;

/**
 * The events of one call. It ends when the guest closes the stream after `exited`; a stream that ends earlier is a failure of
 * the guest. After its end the call accepts no more inputs.
 */
async function* events(
  { inputs, signal: outer }: CallOptions,
  check: OutputCheck,
  open: (inputs: AsyncIterable<InputMessage>, signal: AbortSignal) => Responses,
): AsyncGenerator<ProcessEvent> {
  const ending = new AbortController();
  const signal = AbortSignal.any([outer, ending.signal]);
  try {
    const iterator = open(inputs.messages(signal), signal)[Symbol.asyncIterator]();
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      const event = check.take(next.value.output ?? EMPTY);
      yield event;
      if (event.kind !== "exited") continue;
      // A stream that ends by itself needs no reset. A guest that does not end it in time is not waited for.
      await settlesWithin(iterator.next(), CLOSE_MS);
      return;
    }
  } finally {
    ending.abort(OVER);
  }
  throw new PaddockError("GUEST_FAILED", "the guest's agent ended the stream of a process before its exit");
}
