/**
 * One client's stream to one process, over any number of connections to the guest.
 *
 * ```text
 *   client <── yield ── output <── check <── guest          (one message at a time: a slow client slows the process)
 *   client ──> inputs: stdin kept until accepted, last ack, last size, pending signals ──> guest
 * ```
 *
 * When a connection to the guest breaks and the VM runs, the stream attaches again. It asks for output from the client's last
 * acknowledgement on, because the guest must continue to hold that, and skips bytes that were forwarded before. The client sees no
 * gap, no repetition and no second `started`. The end of the VM ends the stream with the recorded cause.
 */
import { hasReason, PaddockError } from "@paddock/domain";
import type { ProcessInput, ProcessOutput } from "@paddock/protocol";
import type { AgentLink } from "../agent/agent-link.ts";
import type { AgentClient } from "../agent/connect-agent.ts";
import { ProcessInputs } from "../agent/process-inputs.ts";
import type { ByteOffsets, OutputName, ProcessEvent } from "../agent/process-output.ts";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";
import { publicOutput } from "../wire/process-output.ts";
import { checkAck, takeInput } from "./client-input.ts";
import { GuestWatch } from "./guest-watch.ts";
import { implyEofs } from "./imply-eofs.ts";

/** How long a link may be down at the start, and later, in ms. */
const CONNECT_MS = 10_000;
const RECONNECT_MS = 60_000;
/** Maximum number of successive connections without progress. */
const MAX_IDLE_RECONNECTS = 20;

/** Created once: an error captures a stack, which takes longer than the rest of ending a short call. */
const OVER = new PaddockError("CANCELLED", "the stream is over");

export type Call = { readonly inputs: ProcessInputs; readonly signal: AbortSignal };

export type ProcessStreamOptions = {
  /** Starts or joins the process on the first connection. */
  readonly first: (agent: AgentClient, call: Call) => AsyncIterable<ProcessEvent>;
  /** Joins the process again, at the client's offsets. */
  readonly again: (agent: AgentClient, from: ByteOffsets, call: Call) => AsyncIterable<ProcessEvent>;
  /** The client's messages after `start`. */
  readonly requests: AsyncIterator<ProcessInput>;
  /** Whether the client may close an output. */
  readonly closesOutputs: boolean;
  /** Whether only the client's own acknowledgements count. */
  readonly explicitAck: boolean;
  readonly signal: AbortSignal;
};

/**
 * The messages for the client, until the process exits or the guest does not answer any more. Throws `PaddockError`. The
 * process continues if the stream ends before its exit.
 */
export async function* processStream(
  sandbox: LiveSandbox,
  options: ProcessStreamOptions,
): AsyncGenerator<ProcessOutput> {
  const link = sandbox.agent;
  using watch = new GuestWatch(sandbox, options.signal);
  yield* implyEofs(outputsOf(link, { ...options, signal: watch.signal }));
}

async function* outputsOf(link: AgentLink, options: ProcessStreamOptions): AsyncGenerator<ProcessOutput> {
  const ending = new AbortController();
  const signal = AbortSignal.any([options.signal, ending.signal]);
  const stream = new ProcessStream(options, signal, (error) => ending.abort(error));
  try {
    for (let attempt = 1; ; attempt += 1) {
      const agent = await link.client({
        signal,
        deadlineMs: stream.started ? RECONNECT_MS : CONNECT_MS,
      });
      try {
        yield* stream.on(agent, attempt);
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (agent.end === undefined || !stream.mayReconnect(error)) throw error;
      }
    }
  } finally {
    ending.abort(OVER);
  }
}

/** The inputs in the requests after `start`. */
export async function* inputsOf(
  requests: AsyncIterable<{ readonly message: { readonly value: ProcessInput } }>,
): AsyncGenerator<ProcessInput> {
  for await (const { message } of requests) yield message.value;
}

class ProcessStream {
  started = false;
  readonly #options: ProcessStreamOptions;
  readonly #signal: AbortSignal;
  readonly #fail: (error: unknown) => void;
  readonly #inputs = new ProcessInputs();
  readonly #forwarded: Record<OutputName, number> = { stdout: 0, stderr: 0 };
  readonly #ended = new Set<OutputName>();
  /** Bytes that the client's transport has taken. */
  #taken: ByteOffsets = { stdout: 0, stderr: 0 };
  #acknowledged: ByteOffsets = { stdout: 0, stderr: 0 };
  #takenCounts = false;
  #progress = false;
  #idleReconnects = 0;

  constructor(options: ProcessStreamOptions, signal: AbortSignal, fail: (error: unknown) => void) {
    this.#options = options;
    this.#signal = signal;
    this.#fail = fail;
  }

  /** Whether to connect again after a connection broke. */
  mayReconnect(error: unknown): boolean {
    if (!(error instanceof PaddockError) || error.kind !== "unavailable") return false;
    this.#idleReconnects = this.#progress ? 0 : this.#idleReconnects + 1;
    this.#progress = false;
    return this.#idleReconnects < MAX_IDLE_RECONNECTS;
  }

  /** The messages of one connection. */
  async *on(agent: AgentClient, attempt: number): AsyncGenerator<ProcessOutput> {
    for await (const event of this.#events(agent, attempt)) {
      const fresh = this.#fresh(event);
      if (fresh === undefined) continue;
      yield publicOutput(fresh);
      this.#progress = true;
      this.#taken = { ...this.#forwarded };
      if (this.#takenCounts) this.#acknowledge(this.#taken);
    }
  }

  async *#events(agent: AgentClient, attempt: number): AsyncGenerator<ProcessEvent> {
    const call = { inputs: this.#inputs, signal: this.#signal };
    this.#inputs.suspend();
    if (this.started) return yield* this.#again(agent, call);
    try {
      yield* this.#options.first(agent, call);
    } catch (error) {
      // The connection broke after the guest started the process and before its `started` arrived.
      if (this.started || attempt === 1 || !hasReason(error, "PROCESS_EXISTS")) throw error;
      yield* this.#again(agent, call);
    }
  }

  /** Attaches at the offsets from which the guest holds output for this client, or at the client's offsets. */
  async *#again(agent: AgentClient, call: Call): AsyncGenerator<ProcessEvent> {
    const { again } = this.#options;
    try {
      yield* again(agent, this.#acknowledged, call);
    } catch (error) {
      if (!hasReason(error, "OFFSET_NOT_HELD")) throw error;
      yield* again(agent, { ...this.#forwarded }, call);
    }
  }

  /** The part of an event that the client has not seen. */
  #fresh(event: ProcessEvent): ProcessEvent | undefined {
    switch (event.kind) {
      case "started":
        return this.#start(event);
      case "chunk": {
        const known = Math.max(0, this.#forwarded[event.stream] - event.offset);
        if (known >= event.data.length) return undefined;
        this.#forwarded[event.stream] = event.offset + event.data.length;
        return known === 0
          ? event
          : { ...event, offset: event.offset + known, data: event.data.subarray(known) };
      }
      case "gap":
        if (event.to <= this.#forwarded[event.stream]) return undefined;
        return this.#gap(event);
      case "eof":
        if (this.#ended.has(event.stream)) return undefined;
        this.#ended.add(event.stream);
        return event;
      case "stdinAck":
        this.#inputs.stdinAccepted(event.offset);
        return event;
      case "exited":
        return event;
      default:
        return event satisfies never;
    }
  }

  #gap(event: Extract<ProcessEvent, { kind: "gap" }>): ProcessEvent {
    const from = Math.max(event.from, this.#forwarded[event.stream]);
    this.#forwarded[event.stream] = event.to;
    return { ...event, from };
  }

  #start(event: Extract<ProcessEvent, { kind: "started" }>): ProcessEvent | undefined {
    if (this.started) {
      this.#inputs.resume(event.stdinOffset);
      return undefined;
    }
    this.started = true;
    this.#forwarded.stdout = event.offsets.stdout;
    this.#forwarded.stderr = event.offsets.stderr;
    this.#taken = event.offsets;
    this.#acknowledged = event.offsets;
    this.#inputs.begin(event.stdinOffset);
    void this.#readRequests().catch(this.#fail);
    return event;
  }

  async #readRequests(): Promise<void> {
    const { requests, explicitAck } = this.#options;
    for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
      const acknowledged = takeInput(next.value, this.#inputs, this.#options);
      if (acknowledged !== undefined) {
        checkAck(acknowledged, this.#forwarded);
        this.#acknowledge(acknowledged);
      }
      if (!this.#inputs.hasRoom) {
        // Acknowledgements may arrive after stdin that has to wait, and the process may wait for them.
        if (!explicitAck) this.#acknowledgeTaken(true);
        await this.#inputs.room(this.#signal);
        this.#acknowledgeTaken(false);
      }
    }
    // No more acknowledgements arrive on this stream.
    if (!explicitAck) this.#acknowledgeTaken(true);
  }

  /** Sets whether bytes that the transport has taken count as acknowledged from now on. */
  #acknowledgeTaken(counts: boolean): void {
    this.#takenCounts = counts;
    if (counts) this.#acknowledge(this.#taken);
  }

  #acknowledge({ stdout, stderr }: ByteOffsets): void {
    const before = this.#acknowledged;
    this.#acknowledged = {
      stdout: Math.max(before.stdout, stdout),
      stderr: Math.max(before.stderr, stderr),
    };
    this.#inputs.ack(this.#acknowledged);
  }
}
