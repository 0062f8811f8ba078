/** Copies and watches of files, on one connection to a guest's agent. They end with the connection. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import type { agentpb } from "@paddock/protocol";
import { AnswerLimit } from "./answer-limit.ts";
import type { AgentClient } from "./connect-agent.ts";
import { CopyFromCheck, type CopyFromEvent } from "./copy-from-check.ts";
import { type CopyChunk, type CopyToEof, type CopyToEvent, CopyToFlow } from "./copy-to-flow.ts";
import { FileChangeCheck, type FileEvent } from "./file-change-check.ts";

/** How long a guest may owe a message, in ms: a disk with a low limit may have to write the guest's memory first. */
const ANSWER_MS = 300_000;

/** Created once: an error captures a stack, which takes longer than everything else at the end of a short call. */
const OVER = new PaddockError("CANCELLED", "the call is over");

export type FileCallOptions = {
  /** Ends the call. */
  readonly signal: AbortSignal;
  /** Whether the VM is paused or suspended. */
  readonly isSuspended: () => boolean;
  /** How long the guest may owe a message, in ms of its VM. Default: 5 min. */
  readonly answerMs?: number;
};

/** What a client sends after `start`. */
export type CopyToInput =
  | { readonly case: "chunk"; readonly value: CopyChunk }
  | { readonly case: "eof"; readonly value: CopyToEof };

/** What the calls need of an agent. */
type FileAgent = Pick<AgentClient, "steal"> & {
  readonly files: Pick<AgentClient["files"], "copyFrom" | "copyTo" | "watchFiles">;
};
type ReadRequest = MessageInitShape<typeof agentpb.CopyFromRequestSchema> & { readonly offset: bigint };
type WriteStart = MessageInitShape<typeof agentpb.CopyToStartSchema> & { readonly resume: boolean };
type WatchRequest = MessageInitShape<typeof agentpb.WatchFilesRequestSchema>;

/** Reads a file or a tree. Throws GUEST_FAILED, GUEST_UNAVAILABLE, and the guest's refusals. */
export async function* copyFromGuest(
  agent: FileAgent,
  request: ReadRequest,
  options: FileCallOptions,
): AsyncGenerator<CopyFromEvent> {
  const check = new CopyFromCheck(request.offset);
  using call = new GuestCall(agent, options, () => true);
  for await (const response of call.each((signal) => agent.files.copyFrom(request, { signal })))
    yield check.take(response);
  check.close();
}

/** Watches a directory until the signal aborts. Throws GUEST_FAILED, GUEST_UNAVAILABLE, and the guest's refusals. */
export async function* watchGuestFiles(
  agent: FileAgent,
  request: WatchRequest,
  options: FileCallOptions,
): AsyncGenerator<FileEvent> {
  const check = new FileChangeCheck();
  using call = new GuestCall(agent, options, () => !check.hasStarted);
  for await (const response of call.each((signal) => agent.files.watchFiles(request, { signal })))
    yield check.take(response);
  throw new PaddockError("GUEST_FAILED", "the guest's agent ended a watch of files");
}

/**
 * Writes a file or extracts an archive. Throws INVALID_FIELD for inputs that do not follow from each other, GUEST_FAILED,
 * GUEST_UNAVAILABLE, the guest's refusals and the errors of `inputs`.
 */
export async function* copyToGuest(
  agent: FileAgent,
  start: WriteStart,
  inputs: AsyncIterable<CopyToInput>,
  options: FileCallOptions,
): AsyncGenerator<CopyToEvent> {
  const flow = new CopyToFlow(start.resume);
  using call = new GuestCall(agent, options, () => flow.isOwed);
  const requests = async function* (signal: AbortSignal) {
    yield { message: { case: "start", value: start } } as const;
    try {
      for await (const message of sentInputs(flow, inputs, signal)) {
        call.check();
        yield { message };
      }
    } catch (error) {
      call.end(error);
    }
  };
  for await (const response of call.each((signal) => agent.files.copyTo(requests(signal), { signal })))
    yield flow.take(response);
  flow.closeGuest();
}

/** The inputs that may be sent, as soon as they may. */
async function* sentInputs(
  flow: CopyToFlow,
  inputs: AsyncIterable<CopyToInput>,
  signal: AbortSignal,
): AsyncGenerator<CopyToInput> {
  await flow.begun(signal);
  for await (const input of inputs) {
    if (input.case === "eof") flow.finish(input.value);
    else await flow.offer(input.value, signal);
    if (input.case === "eof" || input.value.data.length > 0) yield input;
  }
  flow.close();
}

/** One call: its signal, and the limit of the guest's time. */
class GuestCall implements Disposable {
  readonly #ending = new AbortController();
  readonly #signal: AbortSignal;
  readonly #limit: AnswerLimit;

  constructor({ steal }: FileAgent, options: FileCallOptions, isOwed: () => boolean) {
    const { signal, isSuspended, answerMs: limitMs = ANSWER_MS } = options;
    this.#signal = AbortSignal.any([signal, this.#ending.signal]);
    const onLate = () => this.end(late(limitMs));
    this.#limit = new AnswerLimit({ limitMs, steal, isOwed, isSuspended, onLate });
  }

  /** The guest's messages. */
  each<T>(open: (signal: AbortSignal) => AsyncIterable<T>): AsyncGenerator<T> {
    return this.#limit.each(open(this.#signal));
  }

  /** Called when the guest may owe a message. */
  check(): void {
    this.#limit.check();
  }

  /** Ends the call with an error. */
  end(error: unknown): void {
    this.#ending.abort(error);
  }

  [Symbol.dispose](): void {
    this.#limit[Symbol.dispose]();
    this.end(OVER);
  }
}

const late = (limitMs: number): PaddockError =>
  new PaddockError("GUEST_UNAVAILABLE", `the guest did not continue with the files within ${limitMs} ms`, {
    retryAfterMs: 1000,
  });
