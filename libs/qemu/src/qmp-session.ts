/**
 * Second layer of the monitor client: the greeting, calls matched to replies by id, and events.
 *
 * ```
 *   open -> greeting -> qmp_capabilities -> ready --(socket closes, bad line, close())--> closed
 * ```
 *
 * QMP serves one client at a time. A second connection waits in the socket's backlog, and its greeting misses the deadline. After a
 * restart, the daemon reconnects and must query the state (`query-status`), because events sent in between are lost.
 */
import { QemuError } from "./qemu-error.ts";
import { DEFAULT_MAX_LINE_BYTES, isJsonObject, type JsonObject, QmpTransport } from "./qmp-transport.ts";

export interface QmpEvent {
  readonly name: string;
  readonly data: JsonObject;
  /** QEMU's timestamp: host wall clock, in milliseconds since the epoch. */
  readonly atMs: number;
}

export interface QmpCallOptions {
  /** Default 5000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface QmpSessionOptions extends QmpCallOptions {
  readonly path: string;
  readonly maxLineBytes?: number;
}

const DEFAULT_TIMEOUT_MS = 5000;

interface PendingCall {
  readonly command: string;
  settle(result: { value: unknown } | { error: QemuError }): void;
}

function eventOf(message: JsonObject): QmpEvent | undefined {
  if (typeof message.event !== "string") return undefined;
  const stamp = isJsonObject(message.timestamp) ? message.timestamp : {};
  const seconds = typeof stamp.seconds === "number" ? stamp.seconds : 0;
  const micros = typeof stamp.microseconds === "number" ? stamp.microseconds : 0;
  const atMs = seconds * 1000 + Math.floor(micros / 1000);
  return {
    name: message.event,
    data: isJsonObject(message.data) ? message.data : {},
    atMs: Number.isSafeInteger(atMs) ? atMs : 0,
  };
}

/** Runs `arm(settle)` and waits for its result, the deadline or the signal. Always disarms. */
function bounded<T>(
  what: string,
  options: QmpCallOptions,
  arm: (settle: (result: { value: T } | { error: QemuError }) => void) => () => void,
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    if (options.signal?.aborted === true) return reject(new QemuError("aborted", `${what}: aborted`));
    let disarm = (): void => {};
    const finish = (result: { value: T } | { error: QemuError }): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
      disarm();
      if ("error" in result) reject(result.error);
      else resolve(result.value);
    };
    const onAbort = (): void => finish({ error: new QemuError("aborted", `${what}: aborted`) });
    const timer = setTimeout(
      () => finish({ error: new QemuError("deadline", `${what}: no reply within ${timeoutMs} ms`) }),
      timeoutMs,
    );
    options.signal?.addEventListener("abort", onAbort, { once: true });
    disarm = arm(finish);
  });
}

export class QmpSession implements AsyncDisposable {
  readonly #calls = new Map<number, PendingCall>();
  /** Handlers by event name. Not a Node EventEmitter, because an event named "error" would end the process. */
  readonly #handlers = new Map<string, Set<(event: QmpEvent) => void>>();
  readonly #endings = new Set<(reason: QemuError) => void>();
  #transport: QmpTransport | undefined;
  #nextId = 1;
  #greeting: JsonObject | undefined;
  #onGreeting: (() => void) | undefined;
  #ended: QemuError | undefined;
  /** Resolves with the reason when the connection has closed. Never rejects. */
  readonly closed: Promise<QemuError>;

  private constructor() {
    this.closed = new Promise((resolve) => this.#endings.add(resolve));
  }

  /** Connects and negotiates capabilities. Rejects with the socket's error when no process listens at `path`. */
  static async open(options: QmpSessionOptions): Promise<QmpSession> {
    const session = new QmpSession();
    const listener = {
      message: (message: JsonObject) => session.#dispatch(message),
      closed: (reason: QemuError) => session.#end(reason),
    };
    const limit = options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES;
    const transport = await QmpTransport.open(options.path, listener, limit);
    session.#transport = transport;
    try {
      await session.#awaitGreeting(options);
      await session.execute("qmp_capabilities", {}, options);
    } catch (error) {
      transport.close();
      throw error;
    }
    return session;
  }

  /** QEMU's version, from the greeting. */
  get version(): string {
    const qmp = isJsonObject(this.#greeting?.QMP) ? this.#greeting.QMP : {};
    const version = isJsonObject(qmp.version) ? qmp.version : {};
    const numbers = isJsonObject(version.qemu) ? version.qemu : {};
    const parts = [numbers.major, numbers.minor, numbers.micro];
    return parts.map((part) => (typeof part === "number" ? part : "?")).join(".");
  }

  /** Sends one command. A reply after the deadline is dropped. */
  execute(command: string, args: JsonObject = {}, options: QmpCallOptions = {}): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#failure(command, this.#ended));
    const id = this.#nextId++;
    return bounded<unknown>(`QMP ${command}`, options, (settle) => {
      this.#calls.set(id, { command, settle });
      this.#transport?.send({ execute: command, arguments: args, id });
      return () => this.#calls.delete(id);
    });
  }

  /** Calls `handler` for each event of that name. Returns a function that removes the handler. */
  on(name: string, handler: (event: QmpEvent) => void): () => void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  /** Resolves with the next event that `accept` accepts. Listening starts before this returns, so call it before the cause. */
  nextEvent(
    name: string,
    accept: (event: QmpEvent) => boolean = () => true,
    options: QmpCallOptions = {},
  ): Promise<QmpEvent> {
    if (this.#ended !== undefined) return Promise.reject(this.#failure(`event ${name}`, this.#ended));
    return bounded<QmpEvent>(`QMP event ${name}`, options, (settle) => {
      const off = this.on(name, (event) => {
        if (accept(event)) settle({ value: event });
      });
      const onEnd = (reason: QemuError): void => settle({ error: this.#failure(`event ${name}`, reason) });
      this.#endings.add(onEnd);
      return () => {
        off();
        this.#endings.delete(onEnd);
      };
    });
  }

  close(): void {
    this.#transport?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #failure(what: string, reason: QemuError): QemuError {
    return new QemuError(reason.kind, `QMP ${what}: ${reason.message}`, { cause: reason });
  }

  #awaitGreeting(options: QmpCallOptions): Promise<void> {
    return bounded<void>("QMP greeting (is another client connected?)", options, (settle) => {
      const onEnd = (reason: QemuError): void => settle({ error: this.#failure("greeting", reason) });
      this.#endings.add(onEnd);
      this.#onGreeting = () => settle({ value: undefined });
      if (this.#greeting !== undefined) queueMicrotask(this.#onGreeting);
      if (this.#ended !== undefined)
        queueMicrotask(() => onEnd(this.#ended ?? new QemuError("qmp-closed", "")));
      return () => this.#endings.delete(onEnd);
    });
  }

  #dispatch(message: JsonObject): void {
    if (this.#greeting === undefined) {
      if (!isJsonObject(message.QMP)) {
        this.#transport?.close(new QemuError("qmp-protocol", "the peer did not send a QMP greeting"));
        return;
      }
      this.#greeting = message;
      this.#onGreeting?.();
      return;
    }
    const event = eventOf(message);
    if (event !== undefined) {
      for (const handler of [...(this.#handlers.get(event.name) ?? [])]) handler(event);
      return;
    }
    const call = typeof message.id === "number" ? this.#calls.get(message.id) : undefined;
    if (call === undefined) return;
    call.settle("return" in message ? { value: message.return } : { error: refusal(call.command, message) });
  }

  #end(reason: QemuError): void {
    this.#ended = reason;
    for (const call of [...this.#calls.values()]) call.settle({ error: this.#failure(call.command, reason) });
    for (const ending of [...this.#endings]) ending(reason);
  }
}

/** Longest text from QEMU in an error message, in characters. */
const MAX_TEXT = 512;

function refusal(command: string, message: JsonObject): QemuError {
  const error = isJsonObject(message.error) ? message.error : {};
  const description = typeof error.desc === "string" ? error.desc : "no description";
  // People read this text, and the guest may control QEMU.
  const text = description.slice(0, MAX_TEXT).replaceAll(/[^\x20-\x7e]/g, " ");
  const detail = typeof error.class === "string" ? error.class.slice(0, MAX_TEXT) : "GenericError";
  return new QemuError("qmp-refused", `QMP ${command}: ${text}`, { detail });
}
