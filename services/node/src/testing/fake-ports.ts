/** Servers on the ports of a fake guest, with the windows of the agent. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { Changes } from "@paddock/lifecycle";
import { agentpb } from "@paddock/protocol";
import { guestRefusal } from "./guest-refusal.ts";

const { FailureReason } = agentpb;
const WINDOW_BYTES = 128 * 1024;
const CHUNK_BYTES = 64 * 1024;

type Answer = NonNullable<MessageInitShape<typeof agentpb.PortForwardResponseSchema>["message"]>;

export class FakePorts {
  readonly #servers = new Map<number, (connection: FakeConnection) => void>();
  /** All connections, in the order in which they were made. */
  readonly connections: FakeConnection[] = [];

  /** Serves connections to a port. */
  listen(port: number, serve: (connection: FakeConnection) => void): this {
    this.#servers.set(port, serve);
    return this;
  }

  /** For `FakeAgentOptions`. */
  readonly routes = (router: ConnectRouter): void => {
    router.service(agentpb.NetworkService, {
      portForward: (requests, { signal }) => this.#forward(requests, signal),
    });
  };

  async *#forward(requests: AsyncIterable<agentpb.PortForwardRequest>, signal: AbortSignal) {
    const inputs = requests[Symbol.asyncIterator]();
    const first = await inputs.next();
    if (first.done === true || first.value.message.case !== "start")
      throw guestRefusal(FailureReason.INVALID, "the first message must be start");
    const serve = this.#servers.get(first.value.message.value.port);
    if (serve === undefined) throw guestRefusal(FailureReason.PORT_REFUSED, "nothing listens");
    const connection = new FakeConnection();
    this.connections.push(connection);
    signal.addEventListener("abort", () => connection.lose(), { once: true });
    yield { message: { case: "connected", value: { address: "127.0.0.1" } } } as const;
    serve(connection);
    void connection.takeAll(inputs).catch((error) => connection.fail(error));
    for await (const message of connection.answers(signal)) yield { message };
  }
}

/** The server's end of a connection. It reads what arrives, unless `isReading` is false. */
export class FakeConnection {
  /** Called with bytes that were read, and with undefined at their end. */
  onData: (data: Buffer | undefined) => void = () => undefined;
  isReading = true;
  /** Bytes that have arrived, and that were sent. */
  arrivedBytes = 0;
  sentBytes = 0;
  /** Whether it ended before both directions had. */
  isLost = false;
  readonly #changes = new Changes();
  #waiting: Buffer[] = [];
  #acked = 0;
  #ackDue = false;
  #outgoing = Buffer.alloc(0);
  #taken = 0;
  #ended = false;
  #hasArrived = false;
  #reset: string | undefined;
  #failure: unknown;
  #isOver = false;

  write(data: Uint8Array): void {
    this.#outgoing = Buffer.concat([this.#outgoing, data]);
    this.#changes.notify();
  }

  end(): void {
    this.#ended = true;
    this.#changes.notify();
  }

  reset(reason: string): void {
    this.#reset = reason;
    this.#changes.notify();
  }

  /** Reads what has arrived, and what arrives from now on. */
  read(): void {
    this.isReading = true;
    const read = this.#waiting.splice(0);
    for (const data of read) this.onData(data);
    if (this.#acked < this.arrivedBytes) this.#ackDue = true;
    if (this.#hasArrived) this.onData(undefined);
    this.#changes.notify();
  }

  lose(): void {
    this.isLost = !this.#isOver;
  }

  fail(error: unknown): void {
    this.#failure = error;
    this.#changes.notify();
  }

  async takeAll(inputs: AsyncIterator<agentpb.PortForwardRequest>): Promise<void> {
    for (let next = await inputs.next(); next.done !== true; next = await inputs.next()) {
      const { message } = next.value;
      if (message.case === "data") this.#take(Buffer.from(message.value));
      else if (message.case === "ack") this.#taken = Number(message.value.offset);
      else if (message.case === "eof") this.#hasArrived = true;
      else throw guestRefusal(FailureReason.INVALID, "a second start");
      if (this.isReading) this.read();
      this.#changes.notify();
    }
  }

  async *answers(signal: AbortSignal): AsyncGenerator<Answer> {
    for (let endSent = false; !signal.aborted; ) {
      const room = this.#taken + WINDOW_BYTES - this.sentBytes;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ackDue) {
        this.#ackDue = false;
        this.#acked = this.arrivedBytes;
        yield { case: "ack", value: { offset: BigInt(this.#acked) } };
      } else if (this.#outgoing.length > 0 && room > 0) {
        const value = this.#outgoing.subarray(0, Math.min(room, CHUNK_BYTES));
        this.#outgoing = this.#outgoing.subarray(value.length);
        this.sentBytes += value.length;
        yield { case: "data", value };
      } else if (this.#reset !== undefined) {
        this.#isOver = true;
        yield { case: "reset", value: { reason: this.#reset } };
        return;
      } else if (this.#ended && !endSent && this.#outgoing.length === 0) {
        endSent = true;
        yield { case: "eof", value: {} };
      } else if (endSent && this.#hasArrived) {
        this.#isOver = true;
        return;
      } else await this.#changes.next(signal).catch(() => undefined);
    }
  }

  #take(data: Buffer): void {
    this.arrivedBytes += data.length;
    if (this.arrivedBytes > this.#acked + WINDOW_BYTES)
      throw guestRefusal(FailureReason.INVALID, "data must fit in the window");
    this.#waiting.push(data);
  }
}
