/**
 * The node's side of commands. Each command is answered exactly once, the number that run at the same time is limited, and a
 * shutdown answers running commands before it ends.
 *
 * A command contains the time that its caller still waits. It counts from the arrival of the command, because hosts' clocks
 * differ.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { PaddockError, withUnknownOutcome } from "@paddock/domain";
import { nodepb, type Status } from "@paddock/protocol";
import type { Bus } from "./bus.ts";
import { type CommandKind, type CommandLimits, CommandRoom } from "./command-room.ts";
import { NOT_RUNNING, RUNNING } from "./command-watch.ts";
import {
  COMMAND_ID_HEADER,
  cancelSubject,
  commandSubject,
  runningSubject,
  TIME_LEFT_HEADER,
} from "./subjects.ts";

/** What a handler gets with a command besides its request. */
export type CommandContext = {
  /** Aborts with a `PaddockError` when the deadline passes, the caller cancels, or the server stops. */
  readonly signal: AbortSignal;
  /** When the caller stops waiting, by this host's clock; undefined if the command has no deadline. */
  readonly deadline: Date | undefined;
  readonly trace: { readonly traceparent?: string; readonly tracestate?: string };
};

/** Answers a command with its response in binary form. Thrown errors are answered as an error, by `toStatus`. */
export type CommandHandler = (command: nodepb.CommandRequest, ctx: CommandContext) => Promise<Uint8Array>;

export type ServeCommandsOptions = {
  /** The most commands at the same time. Further ones are answered with TOO_MANY. */
  readonly limits: CommandLimits;
  /** The kind of a command. Each kind has its own limit. */
  readonly kindOf: (command: nodepb.CommandRequest) => CommandKind;
  /** The Status of a thrown value (`toStatus` of `@paddock/rpc`). It may log. */
  readonly toStatus: (error: unknown, requestId: string) => Status;
  /** Sent with every answer. */
  readonly daemonInstanceId?: string;
};

/** A node's command server. */
export type CommandServer = {
  /** Commands that are running. */
  readonly inFlight: number;
  /**
   * Accepts no more commands, waits at most `graceMs` until those in flight are answered, then aborts the rest with SHUTTING_DOWN
   * and waits for their answers.
   */
  stop(graceMs: number): Promise<void>;
};

type Running = { readonly controller: AbortController; readonly done: Promise<void> };

const MAX_TIMER_MS = 2 ** 31 - 1;

/** Serves the commands of a node on the current connection and on each later one. */
export function serveCommands(
  bus: Bus,
  nodeId: string,
  handler: CommandHandler,
  options: ServeCommandsOptions,
): CommandServer {
  const running = new Map<string, Running>();
  const room = new CommandRoom(nodeId, options.limits);
  let subscriptions: readonly Subscription[] = [];
  let inquiries: Subscription | undefined;
  let unnamed = 0;

  const accept = (message: Msg): void => {
    const commandId = message.headers?.get(COMMAND_ID_HEADER) || `unnamed-${unnamed++}`;
    let requestId = "";
    try {
      const command = parse(message);
      requestId = command.requestId;
      const release = room.take(options.kindOf(command), command.sandboxId);
      const controller = new AbortController();
      const done = run(bus, { message, command, handler, controller, options }).finally(() => {
        running.delete(commandId);
        release();
      });
      running.set(commandId, { controller, done });
    } catch (error) {
      respond(bus, message, errorResponse(error, requestId, options));
    }
  };
  const subscribe = (connection: NatsConnection): void => {
    const commands = connection.subscribe(commandSubject(nodeId), {
      callback: (_error, message) => {
        if (message) accept(message);
      },
    });
    const cancels = connection.subscribe(cancelSubject(nodeId), {
      callback: (_error, message) => {
        running
          .get(message.string())
          ?.controller.abort(new PaddockError("CANCELLED", "the caller cancelled"));
      },
    });
    inquiries = connection.subscribe(runningSubject(nodeId), {
      callback: (_error, message) => {
        message?.respond(running.has(message.string()) ? RUNNING : NOT_RUNNING);
      },
    });
    subscriptions = [commands, cancels];
  };
  const forget = bus.onConnection(subscribe);
  return {
    get inFlight() {
      return running.size;
    },
    stop: async (graceMs) => {
      forget();
      await stopServing(bus, subscriptions, running, graceMs);
      inquiries?.unsubscribe();
    },
  };
}

type Started = {
  readonly message: Msg;
  readonly command: nodepb.CommandRequest;
  readonly handler: CommandHandler;
  readonly controller: AbortController;
  readonly options: ServeCommandsOptions;
};

async function run(bus: Bus, { message, command, handler, controller, options }: Started): Promise<void> {
  const { requestId } = command;
  const leftMs = timeLeftOf(message);
  const timer = abortAfter(controller, leftMs);
  let response: nodepb.CommandResponse;
  try {
    const deadline = leftMs === undefined ? undefined : new Date(Date.now() + leftMs);
    const ctx = { signal: controller.signal, deadline, trace: traceOf(message) };
    response = responseOf({ case: "response", value: await handler(command, ctx) }, options);
  } catch (error) {
    const reason: unknown =
      controller.signal.aborted && !(error instanceof PaddockError) ? controller.signal.reason : error;
    response = errorResponse(reason, requestId, options);
  } finally {
    clearTimeout(timer);
  }
  respond(bus, message, response, (error) => errorResponse(error, requestId, options));
}

function parse(message: Msg): nodepb.CommandRequest {
  try {
    return fromBinary(nodepb.CommandRequestSchema, message.data);
  } catch (cause) {
    throw new PaddockError("INVALID_FIELD", "the command cannot be read", {
      violations: [{ field: "command", description: "is not a paddock.node.v1.CommandRequest" }],
      cause,
    });
  }
}

/**
 * Answers on the current connection. A response that the bus cannot carry becomes TOO_LARGE. Without a connection nothing is
 * sent: the caller's request has failed already.
 */
function respond(
  bus: Bus,
  message: Msg,
  response: nodepb.CommandResponse,
  tooLarge?: (error: unknown) => nodepb.CommandResponse,
): void {
  if (!bus.connected || !message.reply) return;
  const connection = bus.connection();
  const payload = toBinary(nodepb.CommandResponseSchema, response);
  const limit = connection.info?.max_payload ?? 1024 * 1024;
  if (payload.length > limit && tooLarge) {
    const error = new PaddockError(
      "TOO_LARGE",
      `the answer has ${payload.length} bytes, more than the ${limit} of the bus`,
    );
    // The command itself has succeeded.
    respond(bus, message, tooLarge(withUnknownOutcome(error)));
    return;
  }
  if (!connection.isClosed()) connection.publish(message.reply, payload);
}

const responseOf = (
  outcome: nodepb.CommandResponse["outcome"],
  { daemonInstanceId = "" }: ServeCommandsOptions,
): nodepb.CommandResponse => create(nodepb.CommandResponseSchema, { outcome, daemonInstanceId });

const errorResponse = (error: unknown, requestId: string, options: ServeCommandsOptions) =>
  responseOf({ case: "error", value: options.toStatus(error, requestId) }, options);

/** How long the caller still waits when the command arrives, in milliseconds; undefined if the command has no deadline. */
function timeLeftOf(message: Msg): number | undefined {
  const text = message.headers?.get(TIME_LEFT_HEADER) ?? "";
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}

function abortAfter(controller: AbortController, leftMs: number | undefined): NodeJS.Timeout | undefined {
  if (leftMs === undefined || leftMs > MAX_TIMER_MS) return undefined;
  const expire = () =>
    controller.abort(new PaddockError("DEADLINE", "the command did not end before its deadline"));
  return setTimeout(expire, leftMs).unref();
}

function traceOf(message: Msg): CommandContext["trace"] {
  const traceparent = message.headers?.get("traceparent");
  const tracestate = message.headers?.get("tracestate");
  return { ...(traceparent ? { traceparent } : {}), ...(tracestate ? { tracestate } : {}) };
}

async function stopServing(
  bus: Bus,
  subscriptions: readonly Subscription[],
  running: ReadonlyMap<string, Running>,
  graceMs: number,
): Promise<void> {
  await bus.untilLost(() => Promise.all(subscriptions.map((each) => each.drain())));
  const allDone = () => Promise.all([...running.values()].map(({ done }) => done));
  const { promise: graceOver, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, graceMs);
  await Promise.race([allDone(), graceOver]);
  clearTimeout(timer);
  for (const { controller } of running.values()) {
    controller.abort(
      new PaddockError("SHUTTING_DOWN", "the node daemon is shutting down", { retryAfterMs: 2_000 }),
    );
  }
  await allDone();
  await bus.untilLost((connection) => connection.flush());
}
