/**
 * A hostile peer in place of a VM's agent. It replaces the socket of a running VM, and runs the next attack on each connection of
 * the daemon. It restores the VM's own socket at the end.
 */

import { chownSync, renameSync, rmSync, statSync } from "node:fs";
import * as http2 from "node:http2";
import { createServer, type Server, type Socket } from "node:net";

/** An attack on one connection of the daemon; `hello` is the connection's first line. The connection ends with the attack. */
export type Attack = { readonly name: string; readonly run: (socket: Socket, hello: string) => void };

export class HostileAgent implements AsyncDisposable {
  readonly #socketPath: string;
  readonly #attacks: readonly Attack[];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #done = Promise.withResolvers<void>();
  /** Names of the attacks whose connection has ended. */
  readonly over: string[] = [];
  #begun = 0;

  /** Takes the place of the agent at `socketPath`, while no daemon is connected to it. */
  static async start(socketPath: string, attacks: readonly Attack[]): Promise<HostileAgent> {
    const agent = new HostileAgent(socketPath, attacks);
    const { uid, gid } = statSync(socketPath);
    renameSync(socketPath, `${socketPath}.real`);
    await new Promise<void>((resolve) => agent.#server.listen(socketPath, resolve));
    chownSync(socketPath, uid, gid);
    return agent;
  }

  private constructor(socketPath: string, attacks: readonly Attack[]) {
    this.#socketPath = socketPath;
    this.#attacks = attacks;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Settles when the connections of all attacks have ended. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Restores the agent's socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    rmSync(this.#socketPath, { force: true });
    renameSync(`${this.#socketPath}.real`, this.#socketPath);
  }

  #accept(socket: Socket): void {
    const attack = this.#attacks[this.#begun];
    this.#begun += 1;
    this.#sockets.add(socket);
    socket
      .on("error", () => undefined)
      .on("close", () => {
        this.#sockets.delete(socket);
        if (attack === undefined) return;
        this.over.push(attack.name);
        if (this.over.length === this.#attacks.length) this.#done.resolve();
      });
    // Connections after the attacks are closed at once.
    if (attack === undefined) socket.destroy();
    else socket.once("data", (hello) => attack.run(socket, hello.toString("latin1")));
  }
}

/** Writes the chunks of `next` until the peer closes. */
export function flood(socket: Socket, next: () => Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(next()));
  };
  socket.on("drain", more);
  more();
}

/** Does the handshake, then calls `run`. */
export const behindHandshake = (name: string, run: (socket: Socket) => void): Attack => ({
  name,
  run: (socket, hello) => {
    socket.resume();
    socket.write(hello.replace("HELLO", "READY"));
    run(socket);
  },
});

/** Answers as an HTTP/2 server, with `answer` for each call. Disconnects after a few. */
export const inAnswers = (name: string, answer: (stream: http2.ServerHttp2Stream) => void): Attack => ({
  name,
  run: (socket, hello) => {
    let calls = 0;
    const server = http2.createServer().on("stream", (stream: http2.ServerHttp2Stream) => {
      stream.on("error", () => undefined);
      calls += 1;
      if (calls > 2) socket.destroy();
      else answer(stream);
    });
    server.on("sessionError", () => undefined);
    socket.write(hello.replace("HELLO", "READY"));
    server.emit("connection", socket);
  },
});

/** An HTTP/2 frame. Its header claims `length`. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
  length = payload.length,
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}
