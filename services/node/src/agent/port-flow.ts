/**
 * What flows over one connection to a port of a guest.
 *
 * ```text
 *   client ── offer ──> one message ── messages (window) ──> guest
 *   client <── events ── received (window) <──── take ────── guest
 * ```
 *
 * Each direction has a window: the bytes that may be on their way before the other side acknowledges them. So the messages of the
 * guest are always read, and an acknowledgement of one direction never waits behind bytes of the other that nobody takes. The window
 * also bounds what a connection may keep here. A guest that sends more, or what does not follow from its messages before, ends the
 * stream with GUEST_FAILED.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { invalidField } from "@paddock/domain";
import { Changes } from "@paddock/lifecycle";
import type { agentpb } from "@paddock/protocol";
import { broken } from "./broken-protocol.ts";
import { ByteQueue } from "./byte-queue.ts";
import { guestText } from "./guest-text.ts";

export type PortEvent =
  | { readonly kind: "connected"; readonly address: string }
  | { readonly kind: "data"; readonly data: Uint8Array }
  | { readonly kind: "eof" }
  | { readonly kind: "reset"; readonly reason: string };

type PortMessage = NonNullable<MessageInitShape<typeof agentpb.PortForwardRequestSchema>["message"]>;

/** Bytes of one direction that may be on their way; the agent has the same window. */
export const WINDOW_BYTES = 128 * 1024;
/** Bytes are acknowledged in steps of this size, or larger ones. */
const ACK_BYTES = WINDOW_BYTES / 4;
const MAX_DATA_BYTES = 64 * 1024;
const ADDRESSES: readonly string[] = ["127.0.0.1", "::1"];
const NOTHING = new Uint8Array(0);

export class PortFlow {
  readonly #changes = new Changes();
  #address: string | undefined;
  /** From the guest. */
  readonly #received = new ByteQueue();
  #taken = 0;
  #acknowledged = 0;
  #guestEnded = false;
  #reset: string | undefined;
  #closed = false;
  /** For the guest: the rest of the client's last message. */
  #offered: Uint8Array = NOTHING;
  #sent = 0;
  #accepted = 0;
  #clientEnded = false;
  #endSent = false;

  /** Whether the guest has made the connection. */
  get isConnected(): boolean {
    return this.#address !== undefined;
  }

  /** Takes a message of the guest. Throws GUEST_FAILED. */
  take({ message }: agentpb.PortForwardResponse): void {
    if (this.#reset !== undefined) throw broken("went on after the reset of a connection");
    if (message.case === "connected") this.#connected(message.value);
    else if (!this.isConnected) throw broken("did not begin a connection with `connected`");
    else if (message.case === "data") this.#data(message.value);
    else if (message.case === "eof") this.#end();
    else if (message.case === "ack") this.#ack(message.value);
    else if (message.case === "reset") this.#reset = guestText(message.value.reason) || "connection reset";
    else if (message.case === undefined) throw broken("sent an empty message");
    else message satisfies never;
    this.#changes.notify();
  }

  /** The guest's stream has ended. Throws GUEST_FAILED when its connection has not. */
  close(): void {
    if (this.#reset === undefined && !(this.#guestEnded && this.#endSent))
      throw broken("ended the stream of a connection before its end");
    this.#closed = true;
    this.#changes.notify();
  }

  /** Gives the guest bytes of the client. Resolves when all are sent. Rejects with INVALID_FIELD after the end, and the signal's reason. */
  async offer(data: Uint8Array, signal: AbortSignal): Promise<void> {
    if (this.#clientEnded) throw invalidField("data", "must not follow `eof`");
    this.#offered = data;
    this.#changes.notify();
    while (this.#offered.length > 0) await this.#changes.next(signal);
  }

  /** The client sends no more. */
  end(): void {
    this.#clientEnded = true;
    this.#changes.notify();
  }

  /** The messages for the guest after `start`, until the signal aborts. */
  async *messages(signal: AbortSignal): AsyncGenerator<{ readonly message: PortMessage }> {
    while (!signal.aborted) {
      const message = this.#next();
      if (message !== undefined) yield { message };
      else await this.#changes.next(signal).catch(() => undefined);
    }
  }

  /** What the client is told, until the connection is over. Bytes count as taken when the next event is asked for. */
  async *events(signal: AbortSignal): AsyncGenerator<PortEvent> {
    while (this.#address === undefined) await this.#changes.next(signal);
    yield { kind: "connected", address: this.#address };
    for (let endTold = false; ; ) {
      signal.throwIfAborted();
      const data = this.#received.read(this.#taken, MAX_DATA_BYTES);
      if (data.length > 0) {
        yield { kind: "data", data };
        this.#take(data.length);
      } else if (this.#reset !== undefined) {
        yield { kind: "reset", reason: this.#reset };
        return;
      } else if (this.#guestEnded && !endTold) {
        endTold = true;
        yield { kind: "eof" };
      } else if (this.#closed) return;
      else await this.#changes.next(signal);
    }
  }

  #connected({ address }: agentpb.PortForwardConnected): void {
    if (this.isConnected) throw broken("connected twice");
    if (!ADDRESSES.includes(address)) throw broken("connected to another address");
    this.#address = address;
  }

  #data(data: Uint8Array): void {
    if (this.#guestEnded) throw broken("sent data after the end of a connection");
    if (data.length < 1 || data.length > MAX_DATA_BYTES) throw broken(`sent ${data.length} bytes of data`);
    if (this.#received.end + data.length > this.#acknowledged + WINDOW_BYTES)
      throw broken("sent more data than the window allows");
    this.#received.append(data);
  }

  #end(): void {
    if (this.#guestEnded) throw broken("ended a connection twice");
    this.#guestEnded = true;
  }

  #ack({ offset }: agentpb.PortForwardAck): void {
    if (offset <= BigInt(this.#accepted) || offset > BigInt(this.#sent))
      throw broken(`acknowledged ${offset} of ${this.#sent} bytes`);
    this.#accepted = Number(offset);
  }

  #take(bytes: number): void {
    this.#taken += bytes;
    this.#received.release(this.#taken);
    if (this.#taken - this.#acknowledged >= ACK_BYTES) this.#changes.notify();
  }

  #next(): PortMessage | undefined {
    if (!this.isConnected) return undefined;
    if (this.#taken - this.#acknowledged >= ACK_BYTES) {
      this.#acknowledged = this.#taken;
      return { case: "ack", value: { offset: BigInt(this.#taken) } };
    }
    if (this.#offered.length > 0) return this.#nextData();
    if (!this.#clientEnded || this.#endSent) return undefined;
    this.#endSent = true;
    return { case: "eof", value: {} };
  }

  #nextData(): PortMessage | undefined {
    const room = this.#accepted + WINDOW_BYTES - this.#sent;
    if (room === 0) return undefined;
    const value = this.#offered.subarray(0, room);
    this.#offered = this.#offered.subarray(value.length);
    this.#sent += value.length;
    if (this.#offered.length === 0) this.#changes.notify();
    return { case: "data", value };
  }
}
