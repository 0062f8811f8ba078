/**
 * First layer of the monitor client: JSON objects over a unix socket, one a line, bounded.
 *
 * The peer is QEMU, which a guest may have taken over, so nothing it sends is trusted: a line longer than the
 * limit or one that is not a JSON object ends the connection.
 */
import { connect, type Socket } from "node:net";
import { QemuError } from "./qemu-error.ts";

export type JsonObject = { readonly [key: string]: unknown };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export interface QmpTransportListener {
  message(message: JsonObject): void;
  /** Called once, whoever closed. */
  closed(reason: QemuError): void;
}

/** 1 MiB holds the longest honest answer, a full serial ring in base64 of 512 KiB, with room to spare. */
export const DEFAULT_MAX_LINE_BYTES = 1024 * 1024;

export class QmpTransport {
  readonly #socket: Socket;
  readonly #listener: QmpTransportListener;
  readonly #maxLineBytes: number;
  #chunks: Buffer[] = [];
  #pendingBytes = 0;
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

  /** Connects; rejects with the socket's own error (`code` ENOENT, ECONNREFUSED…), so callers can wait. */
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

  close(reason = new QemuError("qmp-closed", "the monitor connection was closed on this side")): void {
    this.#end(reason);
  }

  #end(reason: QemuError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#chunks = [];
    this.#socket.destroy();
    this.#listener.closed(reason);
  }

  #receive(chunk: Buffer): void {
    let rest = chunk;
    while (!this.#closed) {
      const newline = rest.indexOf(0x0a);
      const part = newline < 0 ? rest : rest.subarray(0, newline);
      this.#pendingBytes += part.length;
      if (this.#pendingBytes > this.#maxLineBytes) {
        const limit = `a line of more than ${this.#maxLineBytes} bytes`;
        this.#end(new QemuError("qmp-protocol", `the monitor sent ${limit}; connection closed`));
        return;
      }
      if (part.length > 0) this.#chunks.push(part);
      if (newline < 0) return;
      const line = Buffer.concat(this.#chunks).toString("utf8");
      this.#chunks = [];
      this.#pendingBytes = 0;
      rest = rest.subarray(newline + 1);
      this.#deliver(line);
    }
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
