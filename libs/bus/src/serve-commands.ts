/**
 * Commands, the node's side: each is answered exactly once, never more than `maxConcurrent` run at a time, and a shutdown
 * answers what was begun before it lets go of the subject.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { ofUnknownOutcome, PaddockError } from "@paddock/domain";
import { nodepb, type Status } from "@paddock/protocol";
import type { Bus } from "./bus.ts";
import { NOT_RUNNING, RUNNING } from "./command-watch.ts";
import { COMMAND_ID_HEADER, cancelSubject, commandSubject, runningSubject } from "./subjects.ts";

/** What a handler knows of a command beside the command. */
export type CommandContext = {
  /** Aborts with a `PaddockError` when the deadline passes, the caller leaves, or the server stops. */
  readonly signal: AbortSignal;
  /** When the caller's patience ends; undefined when it did not say. */
  readonly deadline: Date | undefined;
  readonly trace: { readonly traceparent?: string; readonly tracestate?: string };
};

/** Answers a command. What it throws is answered as an error, by `toStatus`. */
export type CommandHandler = (
  command: nodepb.CommandRequest,
  ctx: CommandContext,
) => Promise<nodepb.CommandResponse>;

export type ServeCommandsOptions = {
  /** Commands that run at the same time; one more is answered with TOO_MANY. */
  readonly maxConcurrent: number;
  /** The Status of a thrown value (`toStatus` of `@paddock/rpc`). It may log. */
  readonly toStatus: (error: unknown, requestId: string) => Status;
  /** Put into every answer. */
  readonly daemonInstanceId?: string;
};

/** A node's command server. */
export type CommandServer = {
  /** Commands that run now. */
  readonly inFlight: number;
  /**
   * Takes no more commands, waits until those in flight are answered, at most `graceMs`, then aborts the rest with
   * SHUTTING_DOWN and waits for their answers.
   */
  stop(graceMs: number): Promise<void>;
};

type Running = { readonly controller: AbortController; readonly done: Promise<void> };

const MAX_TIMER_MS = 2 ** 31 - 1;

/** Serves the commands of a node. `bus` must have been connected once (`await bus.ready`); losses later are survived. */
export function serveCommands(
  bus: Bus,
  nodeId: string,
  handler: CommandHandler,
  options: ServeCommandsOptions,
): CommandServer {
  const connection = bus.connection();
  const running = new Map<string, Running>();
  let unnamed = 0;

  const accept = (message: Msg): void => {
    const commandId = message.headers?.get(COMMAND_ID_HEADER) || `unnamed-${unnamed++}`;
    if (running.size >= options.maxConcurrent) {
      respond(connection, message, errorResponse(tooMany(nodeId, options.maxConcurrent), "", options));
      return;
    }
    const controller = new AbortController();
    const done = run(connection, message, handler, controller, options).finally(() =>
      running.delete(commandId),
    );
    running.set(commandId, { controller, done });
  };
  const commands = connection.subscribe(commandSubject(nodeId), {
    callback: (_error, message) => {
      if (message) accept(message);
    },
  });
  const cancels = connection.subscribe(cancelSubject(nodeId), {
    callback: (_error, message) => {
      running.get(message.string())?.controller.abort(new PaddockError("CANCELLED", "the caller has left"));
    },
  });
  const questions = connection.subscribe(runningSubject(nodeId), {
    callback: (_error, message) => {
      message?.respond(running.has(message.string()) ? RUNNING : NOT_RUNNING);
    },
  });
  return {
    get inFlight() {
      return running.size;
    },
    stop: async (graceMs) => {
      await stopServing(bus, [commands, cancels], running, graceMs);
      questions.unsubscribe();
    },
  };
}

async function run(
  connection: NatsConnection,
  message: Msg,
  handler: CommandHandler,
  controller: AbortController,
  options: ServeCommandsOptions,
): Promise<void> {
  let requestId = "";
  let timer: NodeJS.Timeout | undefined;
  let response: nodepb.CommandResponse;
  try {
    const command = parse(message);
    requestId = command.requestId;
    const deadline = deadlineOf(command);
    timer = abortAt(controller, deadline);
    response = await handler(command, { signal: controller.signal, deadline, trace: traceOf(message) });
    if (options.daemonInstanceId !== undefined) response.daemonInstanceId = options.daemonInstanceId;
  } catch (error) {
    const reason: unknown =
      controller.signal.aborted && !(error instanceof PaddockError) ? controller.signal.reason : error;
    response = errorResponse(reason, requestId, options);
  } finally {
    clearTimeout(timer);
  }
  respond(connection, message, response, (error) => errorResponse(error, requestId, options));
}

function parse(message: Msg): nodepb.CommandRequest {
  try {
    return fromBinary(nodepb.CommandRequestSchema, message.data);
  } catch (cause) {
    throw new PaddockError("INVALID_FIELD", "the command cannot be read", {
      violations: [{ field: "command", description: "is no paddock.node.v1.CommandRequest" }],
      cause,
    });
  }
}

/** Answers. A response the bus cannot carry becomes TOO_LARGE; when the connection is down the caller has been told already. */
function respond(
  connection: NatsConnection,
  message: Msg,
  response: nodepb.CommandResponse,
  tooLarge?: (error: unknown) => nodepb.CommandResponse,
): void {
  const payload = toBinary(nodepb.CommandResponseSchema, response);
  const limit = connection.info?.max_payload ?? 1024 * 1024;
  if (payload.length > limit && tooLarge) {
    const error = new PaddockError(
      "TOO_LARGE",
      `the answer has ${payload.length} bytes, more than the ${limit} of the bus`,
    );
    // What was asked is done.
    respond(connection, message, tooLarge(ofUnknownOutcome(error)));
    return;
  }
  if (!connection.isClosed()) message.respond(payload);
}

function errorResponse(
  error: unknown,
  requestId: string,
  options: ServeCommandsOptions,
): nodepb.CommandResponse {
  return create(nodepb.CommandResponseSchema, {
    outcome: { case: "error", value: options.toStatus(error, requestId) },
    daemonInstanceId: options.daemonInstanceId ?? "",
  });
}

function deadlineOf({ deadline }: nodepb.CommandRequest): Date | undefined {
  if (deadline === undefined) return undefined;
  return new Date(Number(deadline.seconds) * 1000 + Math.floor(deadline.nanos / 1e6));
}

function abortAt(controller: AbortController, deadline: Date | undefined): NodeJS.Timeout | undefined {
  if (deadline === undefined) return undefined;
  const waitMs = deadline.getTime() - Date.now();
  if (waitMs > MAX_TIMER_MS) return undefined;
  const expire = () =>
    controller.abort(new PaddockError("DEADLINE", "the command did not end before its deadline"));
  return setTimeout(expire, Math.max(0, waitMs)).unref();
}

function traceOf(message: Msg): CommandContext["trace"] {
  const traceparent = message.headers?.get("traceparent");
  const tracestate = message.headers?.get("tracestate");
  return { ...(traceparent ? { traceparent } : {}), ...(tracestate ? { tracestate } : {}) };
}

const tooMany = (nodeId: string, maxConcurrent: number) =>
  new PaddockError("TOO_MANY", `node ${nodeId} works on ${maxConcurrent} commands already`, {
    retryAfterMs: 500,
  });

async function stopServing(
  bus: Bus,
  subscriptions: readonly Subscription[],
  running: ReadonlyMap<string, Running>,
  graceMs: number,
): Promise<void> {
  if (bus.connected) await Promise.all(subscriptions.map((each) => each.drain()));
  else for (const each of subscriptions) each.unsubscribe();
  const allDone = () => Promise.all([...running.values()].map(({ done }) => done));
  const { promise: graceOver, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, graceMs);
  await Promise.race([allDone(), graceOver]);
  clearTimeout(timer);
  for (const { controller } of running.values()) {
    controller.abort(
      new PaddockError("SHUTTING_DOWN", "the node daemon is going down", { retryAfterMs: 2_000 }),
    );
  }
  await allDone();
  if (bus.connected) await bus.connection().flush();
}
