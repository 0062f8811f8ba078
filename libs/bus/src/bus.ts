/**
 * The connection to NATS.
 *
 * ```text
 *   connecting <----- lost, refused, closed: another try, at first after 250 ms, at last every 2 s ----+
 *       |                                                                                             |
 *       +--> connected ----------------------------------------------------------------------------- +
 *       close() ends it from anywhere
 * ```
 *
 * It is made in the background and kept for ever: a service starts, and says it is not ready, while NATS is away. Nothing is
 * queued for a broken connection: what cannot be sent now fails at once with BUS_UNAVAILABLE, because a command that is
 * sent later than its caller waits is a command nobody wants.
 *
 * Each loss ends the client's connection object and the next try makes another, to one server: so nothing that ends an object for
 * good (two refused log-ins, a file that cannot be read) ends the bus, files are read again at each try, and each server is held to what
 * its own address demands. What subscribes does so on each connection, by `onConnection`. Servers that are not in
 * the list are not connected to, whatever a cluster tells of itself.
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
  /** What is shown to the server and demanded of it, beside what the address says. */
  readonly files?: BusFiles;
  /** Name of the client, as NATS' monitoring shows it. */
  readonly name: string;
  /** Prefix of reply subjects, one for each client so that NATS' permissions can tell them apart. */
  readonly inboxPrefix?: string;
  /** Time between pings in milliseconds; a dead connection is noticed after three. */
  readonly pingIntervalMs?: number;
  /** Called with everything an operator may want to know. No text in it holds a secret. */
  readonly onEvent?: (event: BusEvent) => void;
};

/** What an operator may want to know. The same failure to connect is told once a minute. */
export type BusEvent =
  | { readonly kind: "connected"; readonly server: string }
  | { readonly kind: "connect-failed"; readonly server: string; readonly err: unknown }
  | { readonly kind: "lost"; readonly server: string; readonly err?: unknown }
  /** The server has refused something on a connection that stays, such as a subject without permission. */
  | { readonly kind: "refused"; readonly server: string; readonly err: unknown };

type ConnectionListener = (connection: NatsConnection) => void;

const RETRY_MS = 250;
const MAX_RETRY_MS = 2_000;
const CONNECT_TIMEOUT_MS = 5_000;
const TELL_AGAIN_MS = 60_000;
const ANSWER_TIMEOUT_MS = 2_000;

/** A connection to NATS that outlives its losses. */
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
  #told: { readonly text: string; readonly atMs: number } | undefined;

  /** Begins to connect. Throws an Error for an address that is none. */
  constructor(options: BusOptions) {
    this.#options = options;
    this.#servers = parseBusServers(options.url);
    this.#first.promise.catch(() => {});
    this.#running = this.#run();
  }

  /** Resolves when the first connection is there; rejects when the bus is closed before. */
  get ready(): Promise<void> {
    return this.#first.promise;
  }

  /** Whether messages can be sent now. */
  get connected(): boolean {
    return this.#connected;
  }

  /** The connection; throws `PaddockError` BUS_UNAVAILABLE when there is none now. It is another one after each loss. */
  connection(): NatsConnection {
    if (this.#connection === undefined || !this.#connected) throw this.unavailable();
    return this.#connection;
  }

  /** The error for what cannot be sent now, or whose answer cannot come any more. */
  unavailable(metadata: Readonly<Record<string, string>> = {}): PaddockError {
    return new PaddockError("BUS_UNAVAILABLE", "there is no connection to NATS", {
      hint: `check that nats-server answers at ${this.#servers.map(shownServer).join(",")}`,
      retryAfterMs: 1_000,
      metadata,
    });
  }

  /** Calls `listener` at each change of `connected`; the result stops that. */
  onChange(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` with the connection there is and with each later one, before anyone else uses it; the result stops that. */
  onConnection(listener: ConnectionListener): () => void {
    this.#connectionListeners.add(listener);
    if (this.#connection !== undefined && this.#connected) listener(this.#connection);
    return () => this.#connectionListeners.delete(listener);
  }

  /**
   * Does something with the connection there is, if there is one, and settles when it is done or the connection is lost: what the client
   * library waits for on a connection that is lost never comes. A server that answers nothing is waited for 2 s.
   */
  async untilLost(work: (connection: NatsConnection) => Promise<unknown>): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined || connection.isClosed()) return;
    const { promise: tooLong, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ANSWER_TIMEOUT_MS);
    // A connection that is lost meanwhile fails the work, too.
    await Promise.race([work(connection).catch(() => {}), connection.closed(), tooLong]);
    clearTimeout(timer);
  }

  /** Lets subscriptions finish what they received, flushes what was published, and disconnects. */
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
        // Each server of the list has its turn before there is a pause.
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

  /** A connection to one server; undefined when there is none, which is told. */
  async #connect(server: BusServer): Promise<NatsConnection | undefined> {
    const { name, inboxPrefix, pingIntervalMs = 5_000, files = {} } = this.#options;
    try {
      return await connect({
        servers: [hostPort(server)],
        name,
        ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
        ...securityOf(server, files),
        reconnect: false,
        ignoreClusterUpdates: true,
        pingInterval: pingIntervalMs,
        maxPingOut: 2,
        timeout: CONNECT_TIMEOUT_MS,
      });
    } catch (err) {
      this.#tellFailure(server, err);
      return undefined;
    }
  }

  /** Settles when the connection is over. */
  async #use(connection: NatsConnection, server: BusServer): Promise<void> {
    const shown = shownServer(server);
    if (this.#closing.signal.aborted) return await connection.close();
    this.#told = undefined;
    this.#connection = connection;
    const followed = this.#follow(connection, shown);
    for (const listener of this.#connectionListeners) listener(connection);
    this.#set(true);
    this.#tell({ kind: "connected", server: shown });
    this.#first.resolve();
    const err = await followed;
    this.#set(false);
    await connection.close();
    if (!this.#closing.signal.aborted)
      this.#tell({ kind: "lost", server: shown, ...(err === undefined ? {} : { err }) });
  }

  /** Tells of what happens on a connection until it is over; resolves with why. */
  async #follow(connection: NatsConnection, server: string): Promise<unknown> {
    let last: unknown;
    for await (const status of connection.status()) {
      if (status.type === "error") {
        last = status.error;
        this.#tell({ kind: "refused", server, err: status.error });
      } else if (status.type === "staleConnection") {
        last = new Error("the server did not answer pings");
      } else if (status.type === "disconnect" || status.type === "close") {
        // At once: what is sent from now on is lost.
        this.#set(false);
      }
    }
    const closed = await connection.closed();
    return closed instanceof Error ? closed : last;
  }

  #tellFailure(server: BusServer, err: unknown): void {
    const text = `${shownServer(server)} ${err}`;
    const atMs = performance.now();
    if (this.#told?.text === text && atMs - this.#told.atMs < TELL_AGAIN_MS) return;
    this.#told = { text, atMs };
    this.#tell({ kind: "connect-failed", server: shownServer(server), err });
  }

  #set(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    for (const listener of this.#listeners) listener(connected);
  }

  #tell(event: BusEvent): void {
    this.#options.onEvent?.(event);
  }

  async #pause(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined);
  }
}

/** What a connection to the server shows and demands. Throws when a file cannot be read. */
function securityOf(server: BusServer, files: BusFiles): Partial<ConnectionOptions> {
  const { ca, cert, key, authenticator } = readBusFiles(files);
  const { host, login, isTls } = server;
  // With an options object the client demands TLS. Left to itself it would check the certificate of an IP address for "localhost".
  const tls = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
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
