/**
 * First layer of the monitor client: JSON objects over a unix socket, one per line, bounded.
 *
 * The peer is QEMU, which a guest may have compromised, so its output is not trusted. A line that is too long or is not a JSON object
 * closes the connection, and `ReadPace` limits the rate of reading.
 */
import { connect, type Socket } from "node:net";
import { QemuError } from "./qemu-error.ts";
import { ReadPace } from "./read-pace.ts";

export type JsonObject = { readonly [key: string]: unknown };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export interface QmpTransportListener {
  message(message: JsonObject): void;
  /** Called once, when either side closes. */
  closed(reason: QemuError): void;
}

/** More than the longest valid reply, which is a full serial ring of 64 KiB in base64. */
export const DEFAULT_MAX_LINE_BYTES = 256 * 1024;

export class QmpTransport {
  readonly #socket: Socket;
  readonly #listener: QmpTransportListener;
  readonly #maxLineBytes: number;
  readonly #pace = new ReadPace();
  /** The incomplete line, in the first `#lineBytes` bytes. */
  #line: Buffer = Buffer.alloc(0);
  #lineBytes = 0;
  /** Received bytes that wait for `ReadPace`. */
  #waiting: Buffer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(socket: Socket, listener: QmpTransportListener, maxLineBytes: number) {
    this.#socket = socket;
    this.#listener = listener;
    this.#maxLineBytes = maxLineBytes;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (cause) =>
      this.#end(new QemuError("qmp-closed", `monitor connection failed: ${cause.message}`, { cause })),
    );
    socket.on("close", () => this.#end(new QemuError("qmp-closed", "QEMU closed the monitor connection")));
  }

  /** Connects. Rejects with the socket's error (`code` ENOENT, ECONNREFUSED…), so that callers can retry. */
  static open(path: string, listener: QmpTransportListener, maxLineBytes: number): Promise<QmpTransport> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new QmpTransport(socket, listener, maxLineBytes));
      });
    });
  }

  send(message: JsonObject): void {
    this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  close(reason = new QemuError("qmp-closed", "this process closed the monitor connection")): void {
    this.#end(reason);
  }

  #end(reason: QemuError): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#waiting = undefined;
    this.#line = Buffer.alloc(0);
    this.#socket.destroy();
    this.#listener.closed(reason);
  }

  #receive(chunk: Buffer): void {
    const waitMs = this.#pace.pay(0);
    if (waitMs > 0) this.#wait(chunk, waitMs);
    else this.#take(chunk);
  }

  #take(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0 && !this.#closed; ) {
      const newline = rest.indexOf(0x0a);
      const part = newline < 0 ? rest : rest.subarray(0, newline);
      if (this.#lineBytes + part.length > this.#maxLineBytes) {
        const limit = `a line of more than ${this.#maxLineBytes} bytes`;
        this.#end(new QemuError("qmp-protocol", `the monitor sent ${limit}; connection closed`));
        return;
      }
      if (newline < 0) {
        this.#keep(part);
        return;
      }
      rest = rest.subarray(newline + 1);
      const waitMs = this.#pace.pay(this.#lineBytes + part.length);
      this.#deliver(this.#whole(part));
      if (waitMs > 0 && !this.#closed) {
        this.#wait(rest, waitMs);
        return;
      }
    }
  }

  /** Continues reading later. */
  #wait(rest: Buffer, waitMs: number): void {
    this.#socket.pause();
    this.#waiting = this.#waiting === undefined ? rest : Buffer.concat([this.#waiting, rest]);
    this.#timer ??= setTimeout(() => {
      const waiting = this.#waiting ?? Buffer.alloc(0);
      this.#timer = undefined;
      this.#waiting = undefined;
      this.#take(waiting);
      if (this.#timer === undefined && !this.#closed) this.#socket.resume();
    }, waitMs);
  }

  /** Appends to the incomplete line. The buffer doubles, because a line may arrive byte by byte. */
  #keep(part: Buffer): void {
    const bytes = this.#lineBytes + part.length;
    if (bytes > this.#line.length) {
      const larger = Buffer.alloc(Math.max(bytes, Math.min(this.#line.length * 2, this.#maxLineBytes)));
      this.#line.copy(larger, 0, 0, this.#lineBytes);
      this.#line = larger;
    }
    part.copy(this.#line, this.#lineBytes);
    this.#lineBytes = bytes;
  }

  /** The complete line, which ends with `part`. */
  #whole(part: Buffer): string {
    if (this.#lineBytes === 0) return part.toString("utf8");
    this.#keep(part);
    const line = this.#line.toString("utf8", 0, this.#lineBytes);
    this.#line = Buffer.alloc(0);
    this.#lineBytes = 0;
    return line;
  }

  #deliver(line: string): void {
    if (line.trim() === "") return;
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      message = undefined;
    }
    if (isJsonObject(message)) this.#listener.message(message);
    else this.#end(new QemuError("qmp-protocol", "the monitor sent a line that is not a JSON object"));
  }
}
