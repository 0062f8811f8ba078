/**
 * The wiring of the api, and the order in which it starts and stops.
 *
 *   start: bus (connects in the background) -> views of the registry -> listeners -> health follows the sight of the registry
 *   stop:  health NOT_SERVING -> listeners drain -> calls that are left are aborted -> node connections -> bus
 */
import { API_INBOX_PREFIX, Bus, EventStream, logBusEvents, NodeView, PlacementRegistry } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import {
  type CallContext,
  createRequestCheck,
  type EdgeOptions,
  Health,
  observeCalls,
  warmUp,
} from "@paddock/rpc";
import { callObserver, createLogger, type Logger, Metrics, startTracing } from "@paddock/telemetry";
import type { ApiContext } from "./api-context.ts";
import type { Config } from "./config.ts";
import { type CredentialNews, openCredentials } from "./credentials.ts";
import { keepEvents } from "./events/keep-events.ts";
import { listenGrpc } from "./listeners/grpc-listener.ts";
import { listenHttp } from "./listeners/http-listener.ts";
import type { Listener } from "./listeners/listener.ts";
import { NodeStreams } from "./nodes/node-streams.ts";
import { routes, SERVICES } from "./routes.ts";
import { rebuildRegistry } from "./sandboxes/rebuild-registry.ts";
import { RegistrySight } from "./sandboxes/registry-sight.ts";

export type AppOverrides = {
  readonly log?: Logger;
  /** How long a shutdown waits for calls in flight, in milliseconds. */
  readonly drainMs?: number;
  /** The clock that measures the age of claims, in milliseconds. */
  readonly monotonicMs?: () => number;
};

/** A running api. */
export type App = {
  readonly log: Logger;
  readonly grpcAddress: string;
  readonly httpAddress: string;
  /** Shuts down in order. */
  stop(): Promise<void>;
};

const DRAIN_MS = 10_000;

/** Starts the api. It listens at once and accepts calls (health SERVING) once it has seen the registry. */
export async function startApp(config: Config, overrides: AppOverrides = {}): Promise<App> {
  const log = overrides.log ?? createLogger({ name: "api", level: config.logLevel });
  const metrics = new Metrics();
  await using undo = new AsyncDisposableStack();
  const tracing = await startTracing({ serviceName: "paddock-api", endpoint: config.otlpEndpoint });
  undo.defer(() => tracing.shutdown());
  const bus = new Bus({
    url: config.natsUrl,
    name: "paddock-api",
    files: config.natsFiles,
    inboxPrefix: API_INBOX_PREFIX,
    onEvent: logBusEvents(log),
  });
  undo.use(bus);
  const nodes = undo.use(new NodeView(bus));
  const placements = undo.use(
    new PlacementRegistry(bus, {
      ...(overrides.monotonicMs === undefined ? {} : { nowMs: overrides.monotonicMs }),
      onRestored: (count) => log.warn({ count }, "the registry was lost; claimed its placements again"),
      onRestoreFailed: (err) =>
        log.warn({ err }, "the registry was lost; cannot claim a placement again, will retry"),
    }),
  );
  const sight = undo.use(new RegistrySight({ bus, nodes, placements }));
  const credentials = undo.use(openCredentials(config, logCredentials(log)));
  const streams = undo.use(new NodeStreams(nodes, () => credentials.stream.current, log));
  const events = new EventStream(bus);
  const api: ApiContext = { bus, nodes, placements, sight, streams, events, log, now: Date.now };

  const shutdown = new AbortController();
  const health = new Health(SERVICES);
  const edge = edgeOptions(log, metrics, shutdown.signal);
  const methods = routes(api);
  const { tls, checkToken } = credentials;
  const shared = { tls, checkToken, methods, edge };
  const grpc = await listenGrpc({ ...shared, address: config.grpcAddress, health });
  undo.defer(() => grpc.destroy());
  const pages = {
    isReady: () => health.serving,
    notReady: () => sight.missing,
    metrics: () => metrics.expose(),
  };
  const { httpAddress: address, allowedHosts, corsOrigins } = config;
  const http = await listenHttp({ ...shared, address, pages, allowedHosts, corsOrigins });
  undo.defer(() => http.destroy());

  rebuildRegistry(api, shutdown.signal);
  undo.defer(() => shutdown.abort());
  const show = () => health.set(sight.missing === undefined);
  const forget = sight.onChange(show);
  undo.defer(forget);
  show();
  void keepEvents(events, shutdown.signal);
  void warmUp(
    edge.check,
    methods.map(({ method }) => method),
  );
  metrics.gauge(
    "paddock_nodes_up",
    "Nodes with a recent heartbeat",
    () => nodes.all().filter(({ liveness }) => liveness === "up").length,
  );
  const running = undo.move();
  return {
    log,
    grpcAddress: grpc.address,
    httpAddress: http.address,
    stop: async () => {
      forget();
      health.set(false);
      await drain([grpc, http], shutdown, overrides.drainMs ?? DRAIN_MS);
      await running.disposeAsync();
    },
  };
}

/** Waits for calls in flight, then aborts them, so that each gets an answer. */
async function drain(
  listeners: readonly Listener[],
  shutdown: AbortController,
  drainMs: number,
): Promise<void> {
  const drained = Promise.all(listeners.map((each) => each.drain()));
  const abort = () =>
    shutdown.abort(
      new PaddockError("SHUTTING_DOWN", "the api is shutting down", {
        hint: "call again",
        retryAfterMs: 1_000,
      }),
    );
  const timer = setTimeout(abort, drainMs);
  const { promise: tooLong, resolve } = Promise.withResolvers<void>();
  // A client that does not read its last answer must not delay the shutdown.
  const destroy = setTimeout(resolve, drainMs + 2_000);
  await Promise.race([drained, tooLong]);
  clearTimeout(timer);
  clearTimeout(destroy);
}

const logCredentials = (log: Logger): CredentialNews => ({
  changed: (setting) => log.info({ setting }, "changed credentials are in force"),
  unusable: (setting, err) =>
    log.error({ setting, err }, "changed credentials cannot be used; the previous ones stay in force"),
});

function edgeOptions(log: Logger, metrics: Metrics, shutdown: AbortSignal): EdgeOptions {
  return {
    check: createRequestCheck(),
    middleware: [observeCalls(callObserver(log, metrics))],
    shutdown,
    onBug: (error: unknown, ctx: CallContext) => {
      metrics.bug();
      log.error(
        { err: error, method: ctx.method.name, requestId: ctx.requestId },
        "a call failed with an internal error",
      );
    },
  };
}
