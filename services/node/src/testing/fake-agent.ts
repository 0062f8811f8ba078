/**
 * A test double of the guest's agent: the handshake of `agent.proto` on a unix socket, then a real HTTP/2 gRPC server with the
 * three services. Like QEMU's chardev it serves one connection at a time. `command` is the behaviour of processes.
 */
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import * as http2 from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { agentpb } from "@paddock/protocol";
import { FakeProcess } from "./fake-process.ts";
import { guestRefusal } from "./guest-refusal.ts";

const { FailureReason } = agentpb;

export type FakeAgentOptions = {
  /** Behaviour of a process; `args` are those of its spec. */
  readonly command?: (process: FakeProcess, args: readonly string[]) => void;
  /** Replaces the handshake; resolves to true when HTTP/2 may begin. */
  readonly greet?: (socket: Socket, hello: string) => Promise<boolean>;
  /** Replaces the whole server after the handshake. */
  readonly serve?: (socket: Socket) => void;
  /** Changes the services. */
  readonly routes?: (router: ConnectRouter) => void;
};

export class FakeAgent implements AsyncDisposable {
  readonly socketPath: string;
  readonly processes = new Map<string, FakeProcess>();
  readonly hellos: string[] = [];
  /** Number of open streams of Exec and Attach. */
  openStreams = 0;
  readonly #closes = new EventEmitter();
  connections = 0;
  readonly #directory: string;
  readonly #options: FakeAgentOptions;
  readonly #server: Server;
  readonly #http2: http2.Http2Server;
  readonly #sockets = new Set<Socket>();

  static async start(options: FakeAgentOptions = {}): Promise<FakeAgent> {
    const agent = new FakeAgent(options);
    const { promise, resolve } = Promise.withResolvers<void>();
    agent.#server.listen(agent.socketPath, resolve);
    await promise;
    return agent;
  }

  private constructor(options: FakeAgentOptions) {
    this.#options = options;
    this.#directory = mkdtempSync(join(tmpdir(), "paddock-fake-agent-"));
    this.socketPath = join(this.#directory, "agent.sock");
    this.#http2 = http2.createServer(
      connectNodeAdapter({ routes: (router) => this.#routes(router), readMaxBytes: 4 * 1024 * 1024 }),
    );
    this.#server = createServer((socket) => void this.#accept(socket));
  }

  /** Adds a process that exists before any client connects. */
  add(containerId: string, execId: string, ringBytes = 4 * 1024 * 1024): FakeProcess {
    const process = new FakeProcess(execId, ringBytes);
    this.processes.set(`${containerId}/${execId}`, process);
    return process;
  }

  /** Breaks every connection, in the middle of its calls. */
  dropLink(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Settles when no stream of Exec or Attach is open. */
  async streamClosed(): Promise<void> {
    while (this.openStreams > 0) await once(this.#closes, "closed");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.dropLink();
    await promise;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #accept(socket: Socket): Promise<void> {
    this.connections += 1;
    this.#sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => this.#sockets.delete(socket));
    const hello = await readHello(socket);
    if (hello === undefined) return;
    this.hellos.push(hello);
    const greet = this.#options.greet ?? welcome;
    if (!(await greet(socket, hello))) return;
    const serve = this.#options.serve ?? ((each) => void this.#http2.emit("connection", each));
    serve(socket);
  }

  #routes(router: ConnectRouter): void {
    router.service(agentpb.SandboxService, {
      getGuest: () => ({ guest: { agentVersion: "fake", bootId: "boot" } }),
      configureSandbox: () => ({ guest: { configured: true } }),
    });
    router.service(agentpb.ProcessService, {
      exec: (requests, context) => this.#exec(requests, context.signal),
      attach: (requests, context) => this.#attach(requests, context.signal),
      waitProcess: async ({ containerId, execId }, context) => {
        const process = this.#find(containerId, execId);
        while (process.exit === undefined) {
          context.signal.throwIfAborted();
          await new Promise((resolve) => process.changed.once("change", resolve));
        }
        return { status: process.exit };
      },
    });
    this.#options.routes?.(router);
  }

  #find(containerId: string, execId: string): FakeProcess {
    const process = this.processes.get(`${containerId}/${execId}`);
    if (process === undefined) throw guestRefusal(FailureReason.PROCESS_NOT_FOUND, `no process ${execId}`);
    return process;
  }

  async *#exec(requests: AsyncIterable<agentpb.ExecRequest>, signal: AbortSignal) {
    const inputs = requests[Symbol.asyncIterator]();
    const first = await inputs.next();
    if (first.done === true || first.value.message.case !== "start")
      throw guestRefusal(FailureReason.INVALID, "the first message must be start");
    const { containerId, execId, process: spec } = first.value.message.value;
    if (this.processes.has(`${containerId}/${execId}`))
      throw guestRefusal(FailureReason.PROCESS_EXISTS, `process ${execId} exists`);
    const process = this.add(containerId, execId, spec?.ringBytes || undefined);
    this.#options.command?.(process, spec?.args ?? []);
    yield* this.#stream(process, { inputs, signal, hold: true, stdout: 0, stderr: 0 });
  }

  async *#attach(requests: AsyncIterable<agentpb.AttachRequest>, signal: AbortSignal) {
    const inputs = requests[Symbol.asyncIterator]();
    const first = await inputs.next();
    if (first.done === true || first.value.message.case !== "start")
      throw guestRefusal(FailureReason.INVALID, "the first message must be start");
    const { containerId, execId, stdoutOffset, stderrOffset, hold } = first.value.message.value;
    yield* this.#stream(this.#find(containerId, execId), {
      inputs,
      signal,
      hold,
      stdout: stdoutOffset === undefined ? undefined : Number(stdoutOffset),
      stderr: stderrOffset === undefined ? undefined : Number(stderrOffset),
    });
  }

  async *#stream(
    process: FakeProcess,
    reader: {
      inputs: AsyncIterator<agentpb.ExecRequest | agentpb.AttachRequest>;
      signal: AbortSignal;
      hold: boolean;
      stdout: number | undefined;
      stderr: number | undefined;
    },
  ) {
    const holder = Symbol("holder");
    const failed = new AbortController();
    void consume(process, holder, reader.inputs).catch((error) => failed.abort(error));
    this.openStreams += 1;
    try {
      const signal = AbortSignal.any([reader.signal, failed.signal]);
      for await (const output of process.output({ ...reader, holder, signal })) yield { output };
      if (failed.signal.aborted) throw failed.signal.reason;
    } finally {
      this.openStreams -= 1;
      this.#closes.emit("closed");
    }
  }
}

async function consume(
  process: FakeProcess,
  holder: symbol,
  inputs: AsyncIterator<agentpb.ExecRequest | agentpb.AttachRequest>,
): Promise<void> {
  for (let next = await inputs.next(); next.done !== true; next = await inputs.next()) {
    const { message } = next.value;
    if (message.case !== "input") throw guestRefusal(FailureReason.INVALID, "a second start");
    process.takeInput(holder, message.value.input);
  }
}

const welcome = async (socket: Socket, hello: string): Promise<boolean> => {
  socket.write(hello.replace("HELLO", "READY"));
  return true;
};

/** The first complete HELLO line; the bytes after it stay in the socket. */
async function readHello(socket: Socket): Promise<string | undefined> {
  let seen = Buffer.alloc(0);
  for (;;) {
    const bytes: Buffer | null = socket.read();
    if (bytes === null) {
      if (socket.destroyed || socket.readableEnded) return undefined;
      await new Promise<void>((resolve) => {
        socket.once("readable", resolve).once("close", resolve).once("end", resolve);
      });
      continue;
    }
    seen = Buffer.concat([seen, bytes]);
    const line = /PADDOCK\/1 HELLO [0-9a-f]{32}\n/.exec(seen.toString("latin1"));
    if (line === null) continue;
    const rest = seen.subarray(line.index + line[0].length);
    if (rest.length > 0) socket.unshift(rest);
    return line[0];
  }
}
