/**
 * The connection to NATS.
 *
 * It is made in the background and kept for ever: a service starts, and says it is not ready, while NATS is away. Nothing is
 * queued for a broken connection: what cannot be sent now fails at once with BUS_UNAVAILABLE, because a command that is
 * sent later than its caller waits is a command nobody wants.
 */

import { connect, type NatsConnection } from "@nats-io/transport-node";
import { PaddockError } from "@paddock/domain";

export type BusOptions = {
  /** Servers, such as "nats://127.0.0.1:4222" or "nats://user:password@host:4222"; several are separated by commas. */
  readonly url: string;
  /** Name of the client, as NATS' monitoring shows it. */
  readonly name: string;
  /** Prefix of reply subjects, one for each client so that NATS' permissions can tell them apart. */
  readonly inboxPrefix?: string;
  /** Time between pings in milliseconds; a dead connection is noticed after three. */
  readonly pingIntervalMs?: number;
  /** Called with everything an operator may want to know. */
  readonly onEvent?: (event: string, detail: Readonly<Record<string, unknown>>) => void;
};

const FIRST_CONNECT_RETRY_MS = 500;
const RECONNECT_WAIT_MS = 250;
const CONNECT_TIMEOUT_MS = 5_000;

/** A connection to NATS that outlives its losses. */
export class Bus implements AsyncDisposable {
  readonly #options: BusOptions;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(connected: boolean) => void>();
  #connection: NatsConnection | undefined;
  #connected = false;

  /** Resolves when the first connection is there; rejects when the bus is closed before, or refused for good. */
  readonly ready: Promise<void>;

  /** Begins to connect. */
  constructor(options: BusOptions) {
    this.#options = options;
    this.ready = this.#connect();
    this.ready.catch(() => {});
  }

  /** Whether messages can be sent now. */
  get connected(): boolean {
    return this.#connected;
  }

  /** The connection; throws `PaddockError` BUS_UNAVAILABLE when there is none now. */
  connection(): NatsConnection {
    if (this.#connection === undefined || !this.#connected) throw this.unavailable();
    return this.#connection;
  }

  /** The error for what cannot be sent now, or whose answer cannot come any more. */
  unavailable(metadata: Readonly<Record<string, string>> = {}): PaddockError {
    return new PaddockError("BUS_UNAVAILABLE", "there is no connection to NATS", {
      hint: `check that nats-server answers at ${withoutCredentials(this.#options.url)}`,
      retryAfterMs: 1_000,
      metadata,
    });
  }

  /** Calls `listener` at each change of `connected`; the result stops that. */
  onChange(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Lets subscriptions finish what they received, flushes what was published, and disconnects. */
  async close(): Promise<void> {
    this.#closing.abort();
    const connection = this.#connection;
    if (connection === undefined || connection.isClosed()) return;
    if (this.#connected) await connection.drain();
    else await connection.close();
    this.#set(false);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #connect(): Promise<void> {
    const { url, name, inboxPrefix, pingIntervalMs = 5_000 } = this.#options;
    for (;;) {
      if (this.#closing.signal.aborted) throw this.unavailable();
      try {
        this.#connection = await connect({
          ...serversOf(url),
          name,
          ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
          maxReconnectAttempts: -1,
          reconnectTimeWait: RECONNECT_WAIT_MS,
          reconnectJitter: RECONNECT_WAIT_MS,
          pingInterval: pingIntervalMs,
          maxPingOut: 2,
          timeout: CONNECT_TIMEOUT_MS,
        });
        break;
      } catch (error) {
        this.#event("connect-failed", { error });
        await this.#pause(FIRST_CONNECT_RETRY_MS);
      }
    }
    if (this.#closing.signal.aborted) {
      await this.#connection.close();
      throw this.unavailable();
    }
    void this.#follow(this.#connection);
    this.#set(true);
  }

  async #follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      switch (status.type) {
        case "disconnect":
        case "close":
          this.#set(false);
          break;
        case "reconnect":
          this.#set(true);
          break;
        case "ping":
        case "update":
          continue;
        default:
          break;
      }
      this.#event(status.type, "error" in status ? { error: status.error } : {});
    }
    this.#set(false);
  }

  #set(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    for (const listener of this.#listeners) listener(connected);
  }

  #event(event: string, detail: Readonly<Record<string, unknown>>): void {
    this.#options.onEvent?.(event, detail);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#closing.signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#closing.signal.addEventListener("abort", done, { once: true });
    });
  }
}

/** The client library does not read credentials from an URL. The first ones hold for all servers. */
function serversOf(url: string): { servers: string[]; user?: string; pass?: string } {
  const found = /\/\/([^/@,:]*):([^/@,]*)@/.exec(url);
  const servers = withoutCredentials(url).split(",");
  if (found === null) return { servers };
  return { servers, user: decodeURIComponent(found[1] ?? ""), pass: decodeURIComponent(found[2] ?? "") };
}

const withoutCredentials = (url: string): string => url.replaceAll(/\/\/[^/@,]*@/g, "//");
