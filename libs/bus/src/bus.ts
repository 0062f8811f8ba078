/**
 * The connection to NATS.
 *
 * ```text
 *   connecting <----- lost, refused, closed: another attempt after 250 ms, later every 2 s ------------+
 *       |                                                                                             |
 *       +--> connected ----------------------------------------------------------------------------- +
 *       close() ends it from any state
 * ```
 *
 * It is established in the background and re-established until it is closed. A service starts while NATS is unavailable and
 * reports that it is not ready. Nothing is queued for a broken connection: a message that cannot be sent now fails at once with
 * BUS_UNAVAILABLE, because a command must not be sent after its caller has given up.
 *
 * Each loss ends the client's connection object, and the next attempt creates another, to one server. So a final end of an object
 * (two refused logins, an unreadable file) does not end the bus, files are read again at each attempt, and each server must meet
 * the requirements of its own address. Subscribers subscribe on each connection, with `onConnection`. The bus connects only to
 * servers in its list and ignores others that a cluster announces.
 */
import { setTimeout as pause } from "node:timers/promises";
import { checkServerIdentity } from "node:tls";
import {
  type ConnectionOptions,
  connect,
  type NatsConnection,
  type TlsOptions,
} from "@nats-io/transport-node";
import { PaddockError } from "@paddock/domain";
import { type BusFiles, readBusFiles } from "./bus-files.ts";
import { type BusServer, hostPort, parseBusServers, shownServer } from "./bus-servers.ts";

export type BusOptions = {
  /** Servers, such as "nats://127.0.0.1:4222" or "tls://user:password@host:4222"; several are separated by commas. */
  readonly url: string;
  /** Credentials of the client, and the authority for the server. */
  readonly files?: BusFiles;
  /** Name of the client in NATS' monitoring. */
  readonly name: string;
  /** Prefix of reply subjects, one for each client, so that NATS permissions can distinguish clients. */
  readonly inboxPrefix?: string;
  /** Called with events for the operator. Their texts contain no secrets. */
  readonly onEvent?: (event: BusEvent) => void;
};

/** An event for the operator. A failure to connect that repeats is reported once a minute. */
export type BusEvent =
  | { readonly kind: "connected"; readonly server: string }
  | { readonly kind: "connect-failed"; readonly server: string; readonly err: unknown }
  | { readonly kind: "lost"; readonly server: string; readonly err?: unknown }
  /** The server refused a request and kept the connection, such as for a subject without permission. */
  | { readonly kind: "refused"; readonly server: string; readonly err: unknown };

type ConnectionListener = (connection: NatsConnection) => void;

const RETRY_MS = 250;
const MAX_RETRY_MS = 2_000;
const CONNECT_TIMEOUT_MS = 5_000;
const REPORT_AGAIN_MS = 60_000;
const ANSWER_TIMEOUT_MS = 2_000;
/** A dead connection is noticed after three pings. */
const PING_INTERVAL_MS = 5_000;

/** A connection to NATS that reconnects after each loss. */
export class Bus implements AsyncDisposable {
  readonly #options: BusOptions;
  readonly #servers: readonly BusServer[];
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #connectionListeners = new Set<ConnectionListener>();
  readonly #first = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  #connection: NatsConnection | undefined;
  #connected = false;
  #reported: { readonly text: string; readonly atMs: number } | undefined;

  /** Starts to connect. Throws an Error for an invalid address. */
  constructor(options: BusOptions) {
    this.#options = options;
    this.#servers = parseBusServers(options.url);
    this.#first.promise.catch(() => {});
    this.#running = this.#run();
  }

  /** Resolves with the first connection. Rejects if the bus is closed before. */
  get ready(): Promise<void> {
    return this.#first.promise;
  }

  /** Whether messages can be sent now. */
  get connected(): boolean {
    return this.#connected;
  }

  /** The current connection. Throws `PaddockError` BUS_UNAVAILABLE if there is none. */
  connection(): NatsConnection {
    if (this.#connection === undefined || !this.#connected) throw this.unavailable();
    return this.#connection;
  }

  /** The error for a message that cannot be sent now, or whose reply can no longer arrive. */
  unavailable(metadata: Readonly<Record<string, string>> = {}): PaddockError {
    return new PaddockError("BUS_UNAVAILABLE", "there is no connection to NATS", {
      hint: `check that nats-server answers at ${this.#servers.map(shownServer).join(",")}`,
      retryAfterMs: 1_000,
      metadata,
    });
  }

  /** Calls `listener` at each change of `connected`. The returned function unsubscribes. */
  onChange(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A signal that aborts with `signal`, or at the next change of `connected`, until it is disposed of. */
  untilChange(signal: AbortSignal): { readonly signal: AbortSignal } & Disposable {
    const changed = new AbortController();
    const stop = this.onChange(() => changed.abort());
    return { signal: AbortSignal.any([signal, changed.signal]), [Symbol.dispose]: stop };
  }

  /**
   * Calls `listener` with the current connection and each later one, before any other use of it. The returned function
   * unsubscribes.
   */
  onConnection(listener: ConnectionListener): () => void {
    this.#connectionListeners.add(listener);
    if (this.#connection !== undefined && this.#connected) listener(this.#connection);
    return () => this.#connectionListeners.delete(listener);
  }

  /**
   * Runs `work` with the current connection, if there is one. Settles when the work is done or the connection is lost, because
   * the client library waits forever on a lost connection, and after 2 s without a response from the server.
   */
  async untilLost(work: (connection: NatsConnection) => Promise<unknown>): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined || connection.isClosed()) return;
    const { promise: tooLong, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ANSWER_TIMEOUT_MS);
    // A lost connection fails the work.
    await Promise.race([work(connection).catch(() => {}), connection.closed(), tooLong]);
    clearTimeout(timer);
  }

  /** Lets subscriptions finish the messages they received, flushes published messages, and disconnects. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.untilLost((connection) => connection.drain());
    await this.#connection?.close();
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0, turn = 0; !signal.aborted; turn += 1) {
      const server = this.#servers[turn % this.#servers.length] as BusServer;
      const connection = await this.#connect(server);
      if (connection === undefined) {
        failures += 1;
        // All servers of the list are tried before a pause.
        const rounds = Math.floor(failures / this.#servers.length);
        if (failures % this.#servers.length === 0)
          await this.#pause(Math.min(RETRY_MS * 2 ** rounds, MAX_RETRY_MS));
        continue;
      }
      failures = 0;
      await this.#use(connection, server);
      if (!signal.aborted) await this.#pause(RETRY_MS * (0.5 + Math.random()));
    }
    this.#first.reject(this.unavailable());
  }

  /** A connection to one server, or undefined after reporting why it failed. */
  async #connect(server: BusServer): Promise<NatsConnection | undefined> {
    const { name, inboxPrefix, files = {} } = this.#options;
    try {
      return await connect({
        servers: [hostPort(server)],
        name,
        ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
        ...securityOf(server, files),
        reconnect: false,
        ignoreClusterUpdates: true,
        pingInterval: PING_INTERVAL_MS,
        maxPingOut: 2,
        timeout: CONNECT_TIMEOUT_MS,
      });
    } catch (err) {
      this.#reportFailure(server, err);
      return undefined;
    }
  }

  /** Settles when the connection has ended. */
  async #use(connection: NatsConnection, server: BusServer): Promise<void> {
    const shown = shownServer(server);
    if (this.#closing.signal.aborted) return await connection.close();
    this.#reported = undefined;
    this.#connection = connection;
    const followed = this.#follow(connection, shown);
    for (const listener of this.#connectionListeners) listener(connection);
    this.#set(true);
    this.#options.onEvent?.({ kind: "connected", server: shown });
    this.#first.resolve();
    const err = await followed;
    this.#set(false);
    await connection.close();
    if (!this.#closing.signal.aborted)
      this.#options.onEvent?.({ kind: "lost", server: shown, ...(err === undefined ? {} : { err }) });
  }

  /** Reports the events of a connection until it ends. Resolves with the reason. */
  async #follow(connection: NatsConnection, server: string): Promise<unknown> {
    let last: unknown;
    for await (const status of connection.status()) {
      if (status.type === "error") {
        last = status.error;
        this.#options.onEvent?.({ kind: "refused", server, err: status.error });
      } else if (status.type === "staleConnection") {
        last = new Error("the server did not answer pings");
      } else if (status.type === "disconnect" || status.type === "close") {
        // Messages sent from now on are lost.
        this.#set(false);
      }
    }
    const closed = await connection.closed();
    return closed instanceof Error ? closed : last;
  }

  #reportFailure(server: BusServer, err: unknown): void {
    const text = `${shownServer(server)} ${err}`;
    const atMs = performance.now();
    if (this.#reported?.text === text && atMs - this.#reported.atMs < REPORT_AGAIN_MS) return;
    this.#reported = { text, atMs };
    this.#options.onEvent?.({ kind: "connect-failed", server: shownServer(server), err });
  }

  #set(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    for (const listener of this.#listeners) listener(connected);
  }

  async #pause(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined);
  }
}

/** The security options of a connection to the server. Throws if a file cannot be read. */
function securityOf(server: BusServer, files: BusFiles): Partial<ConnectionOptions> {
  const { authenticator, ...pem } = readBusFiles(files);
  const { host, login, isTls } = server;
  // With an options object the client requires TLS. By default it would check the certificate of an IP address for "localhost".
  const tls = {
    ...pem,
    minVersion: "TLSv1.2",
    checkServerIdentity: (_host: string, peer: Parameters<typeof checkServerIdentity>[1]) =>
      checkServerIdentity(host, peer),
  };
  return {
    ...(isTls ? { tls: tls as TlsOptions } : {}),
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(login === undefined ? {} : "token" in login ? login : { user: login.user, pass: login.password }),
  };
}
