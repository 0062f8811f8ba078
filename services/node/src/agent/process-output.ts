/**
 * Checks a guest's messages about a process.
 *
 * Offsets decide what a client keeps and what it asks for after a lost connection, so a guest with wrong offsets could make a
 * client lose or repeat bytes without noticing. Here every message must follow from the previous one: chunks are adjacent, gaps
 * begin where the last chunk ended, an end comes once, the accepted offset of stdin rises, and nothing comes after the exit.
 * Any other message ends the stream with GUEST_FAILED.
 *
 * Offsets are numbers: a stream of 2^53 bytes takes years.
 */
import { agentpb } from "@paddock/protocol";
import { broken } from "./broken-protocol.ts";

export type OutputName = "stdout" | "stderr";

export type ByteOffsets = { readonly stdout: number; readonly stderr: number };

export type ProcessEvent =
  | {
      readonly kind: "started";
      readonly execId: string;
      readonly pid: number;
      readonly stdinOffset: number;
      readonly offsets: ByteOffsets;
      readonly terminal: boolean;
    }
  | {
      readonly kind: "chunk";
      readonly stream: OutputName;
      readonly offset: number;
      readonly data: Uint8Array;
    }
  | { readonly kind: "gap"; readonly stream: OutputName; readonly from: number; readonly to: number }
  | { readonly kind: "eof"; readonly stream: OutputName; readonly offset: number }
  | { readonly kind: "stdinAck"; readonly offset: number }
  | { readonly kind: "exited"; readonly status: agentpb.ExitStatus };

export type OutputExpectation = {
  readonly execId: string;
  /** Offsets that the guest was asked to start at; not set means any. */
  readonly stdout: number | undefined;
  readonly stderr: number | undefined;
};

const MAX_CHUNK_BYTES = 65536;

/** Checks the messages of one Exec or Attach, in order. */
export class OutputCheck {
  readonly #expected: OutputExpectation;
  #next: Record<OutputName, number> | undefined;
  readonly #ended = new Set<OutputName>();
  #stdinAccepted = 0;
  #exited = false;

  constructor(expected: OutputExpectation) {
    this.#expected = expected;
  }

  /** Converts a message to an event. Throws GUEST_FAILED. */
  take({ output }: agentpb.ProcessOutput): ProcessEvent {
    if (this.#exited) throw broken("sent a message after the exit");
    if (output.case === "started") return this.#started(output.value);
    if (this.#next === undefined) throw broken("did not begin with `started`");
    switch (output.case) {
      case "chunk":
        return this.#chunk(output.value, this.#next);
      case "gap":
        return this.#gap(output.value, this.#next);
      case "eof":
        return this.#eof(output.value, this.#next);
      case "stdinAck":
        return this.#stdinAck(output.value);
      case "exited":
        return this.#exit(output.value);
      case undefined:
        throw broken("sent an empty message");
      default:
        return output satisfies never;
    }
  }

  #started(started: agentpb.ProcessStarted): ProcessEvent {
    if (this.#next !== undefined) throw broken("started twice");
    const offsets = { stdout: safe(started.stdoutOffset), stderr: safe(started.stderrOffset) };
    for (const name of ["stdout", "stderr"] as const)
      if (offsets[name] !== (this.#expected[name] ?? offsets[name]))
        throw broken(`begins ${name} at ${offsets[name]} instead of ${this.#expected[name]}`);
    this.#next = { ...offsets };
    this.#stdinAccepted = safe(started.stdinOffset);
    return {
      kind: "started",
      execId: this.#expected.execId,
      pid: started.pid,
      stdinOffset: this.#stdinAccepted,
      offsets,
      terminal: started.terminal,
    };
  }

  #chunk({ stream, offset, data }: agentpb.OutputChunk, next: Record<OutputName, number>): ProcessEvent {
    const name = this.#open(stream);
    if (data.length < 1 || data.length > MAX_CHUNK_BYTES)
      throw broken(`sent a chunk of ${data.length} bytes`);
    const at = safe(offset);
    if (at !== next[name]) throw broken(`sent ${name} at ${at} instead of ${next[name]}`);
    next[name] = at + data.length;
    return { kind: "chunk", stream: name, offset: at, data };
  }

  #gap({ stream, fromOffset, toOffset }: agentpb.OutputGap, next: Record<OutputName, number>): ProcessEvent {
    const name = this.#open(stream);
    const [from, to] = [safe(fromOffset), safe(toOffset)];
    if (from !== next[name] || to <= from) throw broken(`reports a gap of ${name} from ${from} to ${to}`);
    next[name] = to;
    return { kind: "gap", stream: name, from, to };
  }

  #eof({ stream, offset }: agentpb.OutputEof, next: Record<OutputName, number>): ProcessEvent {
    const name = this.#open(stream);
    const at = safe(offset);
    if (at !== next[name]) throw broken(`ends ${name} at ${at} instead of ${next[name]}`);
    this.#ended.add(name);
    return { kind: "eof", stream: name, offset: at };
  }

  #stdinAck({ offset }: agentpb.StdinAck): ProcessEvent {
    const accepted = safe(offset);
    if (accepted <= this.#stdinAccepted) throw broken(`accepts stdin up to ${accepted} again`);
    this.#stdinAccepted = accepted;
    return { kind: "stdinAck", offset: accepted };
  }

  #exit(status: agentpb.ExitStatus): ProcessEvent {
    const { code, signal } = status;
    if (code < 0 || code > 255 || signal < 0 || signal > 64)
      throw broken(`reports exit code ${code} and signal ${signal}`);
    this.#exited = true;
    return { kind: "exited", status };
  }

  #open(stream: agentpb.Stream): OutputName {
    const name = nameOf(stream);
    if (this.#ended.has(name)) throw broken(`continues ${name} after its end`);
    return name;
  }
}

function nameOf(stream: agentpb.Stream): OutputName {
  if (stream === agentpb.Stream.STDOUT) return "stdout";
  if (stream === agentpb.Stream.STDERR) return "stderr";
  throw broken(`names output stream ${stream}`);
}

function safe(offset: bigint): number {
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw broken(`names offset ${offset}`);
  return Number(offset);
}
