import type { Server } from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import {
  createGrpcServer,
  createRequestCheck,
  drainGrpcServer,
  formatHostPort,
  listenForPeer,
  type PeerListener,
  parsePeerCredentials,
  peerPaths,
  WatchedFiles,
} from "@paddock/rpc";
import type { StreamSettings } from "./config.ts";
import type { NodeLog } from "./node-log.ts";
import type { StreamContext } from "./streams/stream-context.ts";
import { streamMethods } from "./streams/stream-handlers.ts";

const DRAIN_MS = 2000;
/** Strangers who knock do not fill the log. */
const REFUSALS_TOLD_EVERY_MS = 10_000;

/** The gRPC server that the api, and nobody else, dials for exec, attach, logs and imports. */
export class StreamServer implements AsyncDisposable {
  /** Where it listens. */
  readonly address: string;
  /** What the api is told. */
  readonly advertised: string;
  readonly #server: Server;
  readonly #listener: PeerListener;
  readonly #shutdown: AbortController;

  private constructor(
    server: Server,
    listener: PeerListener,
    { listen, advertise }: StreamSettings,
    shutdown: AbortController,
  ) {
    this.#server = server;
    this.#listener = listener;
    this.#shutdown = shutdown;
    const { host, port } = advertise ?? listen;
    this.address = formatHostPort({ ...listen, port: listener.port });
    this.advertised = formatHostPort({ host, port: port || listener.port });
  }

  /** Listens as the settings say; port 0 takes a free one. */
  static async start(
    context: StreamContext & { readonly log: NodeLog },
    settings: StreamSettings,
  ): Promise<StreamServer> {
    const { listen, credentials: files } = settings;
    const { log, nodeId } = context;
    const shutdown = new AbortController();
    const server = createGrpcServer(streamMethods(context), {
      check: createRequestCheck(),
      onBug: (error, { method }) =>
        log.error({ err: error, method: method.name }, "a stream failed of a bug"),
      shutdown: shutdown.signal,
    });
    const credentials = new WatchedFiles({
      paths: peerPaths(files),
      parse: (read) => parsePeerCredentials(read, { kind: "node", nodeId }),
      onProblem: (err) =>
        log.error(
          { err },
          "changed credentials of the streams cannot be used; those of before stay in force",
        ),
      onReload: () => log.info({}, "changed credentials of the streams are in force"),
    });
    shutdown.signal.addEventListener("abort", () => credentials[Symbol.dispose]());
    const onRefused = refusals(log);
    const listener = await listenForPeer(server, { address: listen, credentials, nodeId, onRefused }).catch(
      (error: unknown) => {
        credentials[Symbol.dispose]();
        const why = error instanceof Error ? error.message : error;
        throw new Error(`cannot listen at ${formatHostPort(listen)}: ${why}`, { cause: error });
      },
    );
    return new StreamServer(server, listener, settings, shutdown);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.#shutdown.abort(
      new PaddockError("SHUTTING_DOWN", "the node daemon is shutting down", { retryAfterMs: 2000 }),
    );
    const timer = setTimeout(() => this.#server.forceShutdown(), DRAIN_MS);
    await drainGrpcServer(this.#server);
    clearTimeout(timer);
  }
}

/** Tells of those who are not the api: the first at once, the others by their number. */
function refusals(log: NodeLog): (error: Error, peer: string) => void {
  let untold = 0;
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return (err, peer) => {
    if (performance.now() - toldAtMs < REFUSALS_TOLD_EVERY_MS) {
      untold += 1;
      return;
    }
    log.warn({ err, peer, others: untold }, "a connection to the stream port was refused: it is not the api");
    untold = 0;
    toldAtMs = performance.now();
  };
}
