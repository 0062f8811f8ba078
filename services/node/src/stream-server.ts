import { Server, ServerCredentials } from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import { nodepb } from "@paddock/protocol";
import { addGrpcMethods, bindService, createRequestCheck, SERVER_OPTIONS } from "@paddock/rpc";
import type { NodeLog } from "./node-log.ts";
import type { StreamContext } from "./streams/stream-context.ts";
import { streamHandlers } from "./streams/stream-handlers.ts";

const DRAIN_MS = 2000;

/** The gRPC server of NodeStreamService: what the api dials for exec, attach, logs and imports. */
export class StreamServer implements AsyncDisposable {
  readonly address: string;
  readonly #server: Server;
  readonly #shutdown: AbortController;

  private constructor(server: Server, address: string, shutdown: AbortController) {
    this.#server = server;
    this.address = address;
    this.#shutdown = shutdown;
  }

  /** Listens at `host:port`; port 0 takes a free one. */
  static async start(
    context: StreamContext & { readonly log: NodeLog },
    address: string,
  ): Promise<StreamServer> {
    const { log } = context;
    const server = new Server(SERVER_OPTIONS);
    const shutdown = new AbortController();
    const handlers = streamHandlers(context);
    addGrpcMethods(server, bindService(nodepb.NodeStreamService, handlers), {
      check: createRequestCheck(),
      onBug: (error, { method }) =>
        log.error({ err: error, method: method.name }, "a stream failed of a bug"),
      shutdown: shutdown.signal,
    });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(new Error(`cannot listen at ${address}: ${error.message}`, { cause: error }));
      else resolve(port);
    });
    const port = await promise;
    return new StreamServer(server, `${address.slice(0, address.lastIndexOf(":"))}:${port}`, shutdown);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#shutdown.abort(
      new PaddockError("SHUTTING_DOWN", "the node daemon is going down", { retryAfterMs: 2000 }),
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => this.#server.forceShutdown(), DRAIN_MS);
    this.#server.tryShutdown(() => resolve());
    await promise;
    clearTimeout(timer);
  }
}
