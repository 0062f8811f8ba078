/**
 * A process of the test double: output with offsets in a bounded ring, holders and acknowledgements, stdin with offsets. It
 * follows the text of `agent.proto`, written independently of the real agent, so that both can be compared with it.
 */
import { EventEmitter } from "node:events";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { agentpb } from "@paddock/protocol";
import { guestRefusal } from "./guest-refusal.ts";

const { FailureReason } = agentpb;

export type OutputMessage = MessageInitShape<typeof agentpb.ProcessOutputSchema>;

const CHUNK_BYTES = 65536;
const PATTERN_BYTES = 65521;
const PATTERN = Buffer.from(
  Array.from({ length: PATTERN_BYTES }, (_, index) => (index * 167 + (index >> 7) * 13) & 0xff),
);

/** `length` bytes of an endless, known stream from `offset` on. */
export function patternBytes(offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const from = (offset + at) % PATTERN_BYTES;
    at += PATTERN.copy(bytes, at, from, Math.min(PATTERN_BYTES, from + length - at));
  }
  return bytes;
}

/** One output stream. `source` returns the bytes of a range. */
class FakeOutput {
  readonly ringBytes: number;
  readonly source: (offset: number, length: number) => Buffer;
  /** Bytes that the process wants to write so far, and whether that is all. */
  wanted = 0;
  closed = false;
  released = 0;
  readonly holders = new Map<symbol, number>();

  constructor(ringBytes: number, source: (offset: number, length: number) => Buffer) {
    this.ringBytes = ringBytes;
    this.source = source;
  }

  /** Bytes written: the process waits when the ring is full. */
  get end(): number {
    return Math.min(this.wanted, this.released + this.ringBytes);
  }

  get base(): number {
    return Math.max(0, Math.min(this.released, this.end - this.ringBytes));
  }

  get ended(): boolean {
    return this.closed && this.end === this.wanted;
  }

  acknowledge(holder: symbol, offset: number): void {
    if (offset > this.end) throw guestRefusal(FailureReason.INVALID, "acknowledged beyond the end");
    const before = this.holders.get(holder);
    if (before === undefined) return;
    this.holders.set(holder, Math.max(before, offset));
    this.#settle();
  }

  release(holder: symbol): void {
    this.holders.delete(holder);
    if (this.holders.size > 0) this.#settle();
  }

  #settle(): void {
    this.released = Math.max(this.released, Math.min(...this.holders.values()));
  }
}

export class FakeProcess {
  readonly execId: string;
  readonly stdout: FakeOutput;
  readonly stderr: FakeOutput;
  readonly changed = new EventEmitter().setMaxListeners(0);
  readonly signals: number[] = [];
  readonly resizes: string[] = [];
  readonly closes: number[] = [];
  readonly stdin: Buffer[] = [];
  stdinBytes = 0;
  stdinEnded = false;
  exit: MessageInitShape<typeof agentpb.ExitStatusSchema> | undefined;
  /** Bytes of stdin that the process has read; all of them by default. */
  accepted: () => number = () => this.stdinBytes;
  onStdin: (bytes: Buffer | undefined) => void = () => undefined;

  constructor(execId: string, ringBytes: number) {
    this.execId = execId;
    const written: Buffer[] = [];
    this.stdout = new FakeOutput(ringBytes, (offset, length) => patternBytes(offset, length));
    this.stderr = new FakeOutput(ringBytes, (offset, length) => {
      return Buffer.concat(written).subarray(offset, offset + length);
    });
    this.writeStderr = (bytes) => {
      written.push(bytes);
      this.stderr.wanted += bytes.length;
      this.changed.emit("change");
    };
  }

  readonly writeStderr: (bytes: Buffer) => void;

  /** Writes `count` more bytes of the pattern to stdout. */
  writeStdout(count: number): void {
    this.stdout.wanted += count;
    this.changed.emit("change");
  }

  end(code: number, signal = 0): void {
    this.stdout.closed = true;
    this.stderr.closed = true;
    this.exit ??= { code, signal, exitedAt: { seconds: 1_700_000_000n, nanos: 0 } };
    this.changed.emit("change");
  }

  takeInput(holder: symbol, input: agentpb.ProcessInput["input"]): void {
    switch (input.case) {
      case "stdin": {
        const offset = Number(input.value.offset);
        if (offset > this.stdinBytes)
          throw guestRefusal(
            FailureReason.INVALID,
            `stdin continues at offset ${this.stdinBytes}, but ${offset} was sent`,
          );
        const fresh = Buffer.from(input.value.data.subarray(this.stdinBytes - offset));
        this.stdinBytes += fresh.length;
        this.stdin.push(fresh);
        this.onStdin(fresh);
        break;
      }
      case "stdinEof":
        if (Number(input.value.offset) !== this.stdinBytes)
          throw guestRefusal(FailureReason.INVALID, "stdin cannot end here");
        this.stdinEnded = true;
        this.onStdin(undefined);
        break;
      case "resize":
        this.resizes.push(`${input.value.columns}x${input.value.rows}`);
        break;
      case "signal":
        this.signals.push(input.value);
        if (input.value === 9 || input.value === 15) this.end(128 + input.value, input.value);
        break;
      case "ack":
        this.stdout.acknowledge(holder, Number(input.value.stdoutOffset));
        this.stderr.acknowledge(holder, Number(input.value.stderrOffset));
        break;
      case "outputClose":
        this.closes.push(input.value.stream);
        break;
      case undefined:
        throw guestRefusal(FailureReason.INVALID, "an empty input");
      default:
        input satisfies never;
    }
    this.changed.emit("change");
  }

  /** The messages for one reader, from given offsets, until the end. */
  async *output(reader: {
    holder: symbol;
    hold: boolean;
    stdout: number | undefined;
    stderr: number | undefined;
    signal: AbortSignal;
  }): AsyncGenerator<OutputMessage> {
    const from = this.#offsets(reader);
    if (reader.hold) {
      this.stdout.holders.set(reader.holder, from.stdout);
      this.stderr.holders.set(reader.holder, from.stderr);
    }
    let stdinAcked = this.accepted();
    // A stream that ends while a message is handed over is never resumed.
    const release = () => this.#release(reader.holder);
    reader.signal.addEventListener("abort", release, { once: true });
    try {
      yield this.#started(from);
      const streams = [
        { stream: agentpb.Stream.STDOUT, output: this.stdout, at: from.stdout, eof: false },
        { stream: agentpb.Stream.STDERR, output: this.stderr, at: from.stderr, eof: false },
      ];
      while (!reader.signal.aborted) {
        let idle = true;
        if (stdinAcked < this.accepted()) {
          stdinAcked = this.accepted();
          yield { output: { case: "stdinAck", value: { offset: BigInt(stdinAcked) } } };
        }
        for (const each of streams) {
          const window =
            (each.output.holders.get(reader.holder) ?? Number.MAX_SAFE_INTEGER) + each.output.ringBytes / 2;
          const upto = Math.min(each.output.end, window, each.at + CHUNK_BYTES);
          if (upto > each.at) {
            idle = false;
            const data = each.output.source(each.at, upto - each.at);
            yield {
              output: { case: "chunk", value: { stream: each.stream, offset: BigInt(each.at), data } },
            };
            each.at = upto;
          } else if (each.output.ended && each.at === each.output.end && !each.eof) {
            idle = false;
            each.eof = true;
            yield { output: { case: "eof", value: { stream: each.stream, offset: BigInt(each.at) } } };
          }
        }
        if (idle && streams.every(({ eof }) => eof) && this.exit !== undefined) {
          yield { output: { case: "exited", value: this.exit } };
          return;
        }
        if (idle) await this.#change(reader.signal);
      }
    } finally {
      reader.signal.removeEventListener("abort", release);
      release();
    }
  }

  #release(holder: symbol): void {
    this.stdout.release(holder);
    this.stderr.release(holder);
    this.changed.emit("change");
  }

  #offsets(reader: { stdout: number | undefined; stderr: number | undefined }) {
    const from = { stdout: reader.stdout ?? this.stdout.base, stderr: reader.stderr ?? this.stderr.base };
    for (const [name, output] of [
      ["stdout", this.stdout],
      ["stderr", this.stderr],
    ] as const)
      if (from[name] < output.base || from[name] > output.end)
        throw guestRefusal(
          FailureReason.OFFSET_NOT_HELD,
          `offset ${from[name]} is not held: ${output.base} to ${output.end} are`,
          output.base,
        );
    return from;
  }

  #started(from: { stdout: number; stderr: number }): OutputMessage {
    return {
      output: {
        case: "started",
        value: {
          execId: this.execId,
          pid: this.exit === undefined ? 42 : 0,
          stdinOffset: BigInt(this.accepted()),
          stdoutOffset: BigInt(from.stdout),
          stderrOffset: BigInt(from.stderr),
        },
      },
    };
  }

  async #change(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.changed.once("change", wake);
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    this.changed.off("change", wake);
    signal.removeEventListener("abort", wake);
  }
}
