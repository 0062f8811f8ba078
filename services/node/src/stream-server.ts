import { PaddockError } from "@paddock/domain";
import {
  createGrpcServer,
  createRequestCheck,
  drainGrpcServer,
  formatHostPort,
  listenForPeer,
  parsePeerCredentials,
  peerPaths,
  WatchedFiles,
} from "@paddock/rpc";
import type { StreamSettings } from "./config.ts";
import type { NodeLog } from "./node-log.ts";
import type { StreamContext } from "./streams/stream-context.ts";
import { streamMethods } from "./streams/stream-handlers.ts";

const DRAIN_MS = 2000;
/** Minimum interval between log lines about refused connections. */
const REFUSALS_LOGGED_EVERY_MS = 10_000;

/** The gRPC server that only the api dials, for exec, attach, logs and imports. Disposing of it ends the streams. */
export type StreamServer = AsyncDisposable & {
  /** Where it listens. */
  readonly address: string;
  /** The address given to the api. */
  readonly advertised: string;
};

/** Listens according to the settings; port 0 means a free port. */
export async function startStreamServer(
  context: StreamContext & { readonly log: NodeLog },
  { listen, advertise, credentials: files }: StreamSettings,
): Promise<StreamServer> {
  const { log, nodeId } = context;
  await using stack = new AsyncDisposableStack();
  const shutdown = new AbortController();
  const server = createGrpcServer(streamMethods(context), {
    check: createRequestCheck(),
    onBug: (error, { method }) =>
      log.error({ err: error, method: method.name }, "a stream failed: internal error"),
    shutdown: shutdown.signal,
  });
  const credentials = stack.use(
    new WatchedFiles({
      paths: peerPaths(files),
      parse: (read) => parsePeerCredentials(read, { kind: "node", nodeId }),
      onProblem: (err) =>
        log.error(
          { err },
          "changed credentials of the streams cannot be used; the previous ones stay in force",
        ),
      onReload: () => log.info({}, "changed credentials of the streams are in force"),
    }),
  );
  const onRefused = refusals(log);
  const options = { address: listen, credentials, nodeId, onRefused };
  const listener = await listenForPeer(server, options).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : error;
    throw new Error(`cannot listen at ${formatHostPort(listen)}: ${why}`, { cause: error });
  });
  stack.defer(async () => {
    listener.close();
    shutdown.abort(
      new PaddockError("SHUTTING_DOWN", "the node daemon is shutting down", { retryAfterMs: 2000 }),
    );
    const timer = setTimeout(() => server.forceShutdown(), DRAIN_MS);
    await drainGrpcServer(server);
    clearTimeout(timer);
  });
  const { host, port } = advertise ?? listen;
  const moved = stack.move();
  return {
    address: formatHostPort({ ...listen, port: listener.port }),
    advertised: formatHostPort({ host, port: port || listener.port }),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

/** Logs refused connections: the first at once, later ones as a count. */
function refusals(log: NodeLog): (error: Error, peer: string) => void {
  let unlogged = 0;
  let loggedAtMs = Number.NEGATIVE_INFINITY;
  return (err, peer) => {
    if (performance.now() - loggedAtMs < REFUSALS_LOGGED_EVERY_MS) {
      unlogged += 1;
      return;
    }
    log.warn(
      { err, peer, others: unlogged },
      "refused a connection to the stream port: the client is not the api",
    );
    unlogged = 0;
    loggedAtMs = performance.now();
  };
}
