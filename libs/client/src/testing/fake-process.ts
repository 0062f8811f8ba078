/** A process for tests: output that can be read from any offset, stdin with offsets, and an exit status at the end. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  type AttachRequest,
  type ExecRequest,
  type ExitStatus,
  ExitStatusSchema,
  OutputStream,
  type ProcessInput,
  type ProcessOutputSchema,
  ProcessService,
} from "@paddock/protocol";
import type { FakeServer, Incoming } from "./fake-server.ts";

type Output = NonNullable<MessageInitShape<typeof ProcessOutputSchema>["output"]>;

/** The stream of an Exec or an Attach, seen from this process. */
type Line = { send(output: Output): void; readonly closed: Promise<unknown> };

const lineOf = (call: {
  send(message: { output: { output: Output } }): void;
  readonly closed: Promise<unknown>;
}): Line => ({ send: (output) => call.send({ output: { output } }), closed: call.closed });

type Stream = "stdout" | "stderr";
const CHUNK_BYTES = 1000;

export class FakeProcess {
  readonly written: Record<Stream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  stdin = Buffer.alloc(0);
  stdinEnded = false;
  exit: ExitStatus | undefined;
  /** How many times it was executed. */
  executions = 0;
  readonly signals: string[] = [];
  /** Outputs that were closed. */
  readonly closes: OutputStream[] = [];
  readonly sizes: { rows: number; columns: number }[] = [];
  acked = { stdout: 0n, stderr: 0n };
  lastStart: ExecRequest | AttachRequest | undefined;
  /** Called with each input after it was handled. */
  onInput: (input: ProcessInput) => void = () => {};
  /** Called before each chunk that is sent. */
  onChunk: (offset: number) => void = () => {};
  #execId: string | undefined;
  #wake = Promise.withResolvers<void>();

  /** The init process of a container: it can be attached to without an Exec. */
  static init(execId: string): FakeProcess {
    const process = new FakeProcess();
    process.#execId = execId;
    return process;
  }

  write(stream: Stream, data: string | Buffer): this {
    this.written[stream] = Buffer.concat([this.written[stream], Buffer.from(data)]);
    return this.#changed();
  }

  /** Ends the process. `reason` is why it could not be executed. */
  end(code: number, reason = ""): this {
    this.exit = create(ExitStatusSchema, { code, reason });
    return this.#changed();
  }

  serve(api: Pick<FakeServer, "duplex">): this {
    api.duplex(ProcessService.method.exec, (call) => this.#exec(call));
    api.duplex(ProcessService.method.attach, (call) => this.#attach(call));
    return this;
  }

  async #exec(
    call: Incoming<typeof ProcessService.method.exec.input, typeof ProcessService.method.exec.output>,
  ): Promise<void> {
    const inputs = call.requests[Symbol.asyncIterator]();
    const first = (await inputs.next()).value;
    if (first?.message.case !== "start")
      throw new PaddockError("INVALID_FIELD", "the first message is not start");
    const { execId } = first.message.value;
    if (this.#execId === execId) throw new PaddockError("PROCESS_EXISTS", `exec "${execId}" exists`);
    this.#execId = execId;
    this.executions += 1;
    this.lastStart = first;
    await this.#follow(lineOf(call), inputs, { stdout: 0, stderr: 0 });
  }

  async #attach(
    call: Incoming<typeof ProcessService.method.attach.input, typeof ProcessService.method.attach.output>,
  ): Promise<void> {
    const inputs = call.requests[Symbol.asyncIterator]();
    const first = (await inputs.next()).value;
    if (first?.message.case !== "start")
      throw new PaddockError("INVALID_FIELD", "the first message is not start");
    const { execId, stdoutOffset, stderrOffset } = first.message.value;
    if (this.#execId !== execId)
      throw new PaddockError("PROCESS_NOT_FOUND", `there is no process "${execId}"`);
    this.lastStart = first;
    await this.#follow(lineOf(call), inputs, {
      stdout: Number(stdoutOffset ?? 0),
      stderr: Number(stderrOffset ?? 0),
    });
  }

  async #follow(
    line: Line,
    inputs: AsyncIterator<ExecRequest | AttachRequest>,
    at: Record<Stream, number>,
  ): Promise<void> {
    let isClosed = false;
    void line.closed.then(() => {
      isClosed = true;
      this.#changed();
    });
    line.send({
      case: "started",
      value: {
        execId: this.#execId ?? "",
        pid: this.exit ? 0 : 7,
        stdinOffset: BigInt(this.stdin.length),
        stdoutOffset: BigInt(at.stdout),
        stderrOffset: BigInt(at.stderr),
      },
    });
    void this.#takeInputs(line, inputs);
    while (!isClosed) {
      const sent = this.#sendOne(line, at, "stdout") || this.#sendOne(line, at, "stderr");
      if (sent) await new Promise((resolve) => setImmediate(resolve));
      else if (this.exit) return line.send({ case: "exited", value: this.exit });
      else await this.#wake.promise;
    }
  }

  #sendOne(line: Line, at: Record<Stream, number>, stream: Stream): boolean {
    const data = this.written[stream].subarray(at[stream], at[stream] + CHUNK_BYTES);
    if (data.length === 0) return false;
    this.onChunk(at[stream]);
    const number = stream === "stdout" ? OutputStream.STDOUT : OutputStream.STDERR;
    line.send({ case: "chunk", value: { stream: number, offset: BigInt(at[stream]), data } });
    at[stream] += data.length;
    return true;
  }

  async #takeInputs(line: Line, inputs: AsyncIterator<ExecRequest | AttachRequest>): Promise<void> {
    try {
      for (let next = await inputs.next(); !next.done; next = await inputs.next()) {
        if (next.value.message.case !== "input") continue;
        const stdinBefore = this.stdin.length;
        this.#take(next.value.message.value);
        if (this.stdin.length > stdinBefore) {
          line.send({ case: "stdinAck", value: { offset: BigInt(this.stdin.length) } });
        }
        this.onInput(next.value.message.value);
      }
    } catch {
      // The connection was cut. The client resumes on the next one.
    }
  }

  #take({ input }: ProcessInput): void {
    if (input.case === "stdin") {
      const known = this.stdin.length - Number(input.value.offset ?? BigInt(this.stdin.length));
      if (known < 0) throw new Error("a gap in stdin");
      this.stdin = Buffer.concat([this.stdin, input.value.data.subarray(known)]);
    }
    if (input.case === "stdinEof") this.stdinEnded = true;
    if (input.case === "outputClose") this.closes.push(input.value.stream);
    if (input.case === "signal") this.signals.push(input.value);
    if (input.case === "resize") this.sizes.push({ rows: input.value.rows, columns: input.value.columns });
    if (input.case === "ack")
      this.acked = { stdout: input.value.stdoutOffset, stderr: input.value.stderrOffset };
    this.#changed();
  }

  #changed(): this {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
    return this;
  }
}
