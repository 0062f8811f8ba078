/**
 * The edge of a server: what happens to every call before and after its handler, over any transport.
 *
 * Order, from outside: deadline and cancellation become one signal; the observer (metrics, spans) sees the call; errors become
 * `PaddockError`s and bugs are reported; the request is checked; the handler runs.
 */
import { randomUUID } from "node:crypto";
import type { DescMethod, Message } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { REQUEST_ID_KEY } from "@paddock/protocol";
import { AbortRace } from "./abort-race.ts";
import type { CallContext, TraceContext } from "./call-context.ts";
import { type DeadlinePolicy, deadlineController, defaultDeadlines, effectiveDeadline } from "./deadline.ts";
import type { RequestCheck } from "./request-check.ts";
import {
  type AnyHandler,
  type BoundMethod,
  isIterable,
  type Middleware,
  wrapMethods,
} from "./service-handlers.ts";

/** What a server adds to every call. */
export type EdgeOptions = {
  /** Refuses requests that break the rules of the schema. */
  readonly check: RequestCheck;
  /** Called with an error other than `PaddockError`, once per failed call. It must log. */
  readonly onBug: (error: unknown, ctx: CallContext) => void;
  /** Wraps every handler, the first outermost: metrics, spans, authorisation. */
  readonly middleware?: readonly Middleware[];
  readonly deadlines?: DeadlinePolicy;
  /** Aborts when the server goes down. Calls in flight fail with its reason. */
  readonly shutdown?: AbortSignal;
};

/** What a transport knows of a call. */
export type CallHead = {
  readonly metadata: (key: string) => string | undefined;
  readonly peer: string;
  /** Deadline the client set, in milliseconds since the epoch. */
  readonly clientDeadlineMs: number | undefined;
};

/** A call in progress. `cancel` says that the client has left, `close` that the call is over. */
export type OpenCall = {
  readonly ctx: CallContext;
  readonly race: AbortRace;
  cancel(): void;
  close(): void;
};

/** The reason of the signal of an answered call. Created once: an error captures a stack, which costs more than the abort. */
const OVER = new PaddockError("CANCELLED", "the call is over");

/** Opens a call: one signal for cancellation, deadline and shutdown. */
export function openCall(method: DescMethod, head: CallHead, options: EdgeOptions): OpenCall {
  const limits = (options.deadlines ?? defaultDeadlines)(method);
  const deadlineMs = effectiveDeadline(limits, head.clientDeadlineMs, Date.now());
  const { controller, release } = deadlineController(deadlineMs, method.name);
  const { shutdown } = options;
  const onShutdown = () => controller.abort(shutdown?.reason);
  if (shutdown?.aborted) onShutdown();
  else shutdown?.addEventListener("abort", onShutdown, { once: true });
  const ctx: CallContext = {
    method,
    signal: controller.signal,
    deadline: deadlineMs === undefined ? undefined : new Date(deadlineMs),
    requestId: printable(head.metadata(REQUEST_ID_KEY)) ?? randomUUID(),
    metadata: head.metadata,
    trace: traceOf(head),
    peer: head.peer,
  };
  return {
    ctx,
    race: new AbortRace(controller.signal),
    cancel: () => controller.abort(new PaddockError("CANCELLED", `the client left ${method.name}`)),
    close: () => {
      release();
      shutdown?.removeEventListener("abort", onShutdown);
      controller.abort(OVER);
    },
  };
}

/** The methods wrapped for a transport. */
export function edgeMethods(methods: readonly BoundMethod[], options: EdgeOptions): BoundMethod[] {
  const inner = [...(options.middleware ?? []), typedErrors(options), checked(options.check)];
  return wrapMethods(methods, inner);
}

/** The error of a call: an aborted call fails with the reason of its signal, whatever was thrown. */
export function callError(error: unknown, ctx: CallContext): unknown {
  if (error instanceof PaddockError) return error;
  return ctx.signal.aborted ? ctx.signal.reason : error;
}

const typedErrors =
  (options: EdgeOptions): Middleware =>
  (_method, next) => {
    const settle = (thrown: unknown, ctx: CallContext): unknown => {
      const error = callError(thrown, ctx);
      if (error instanceof PaddockError) return error;
      options.onBug(error, ctx);
      return new PaddockError("INTERNAL", "internal error", { cause: error });
    };
    return guard(next, settle);
  };

function guard(next: AnyHandler, settle: (error: unknown, ctx: CallContext) => unknown): AnyHandler {
  return (input, ctx) => {
    let answer: ReturnType<AnyHandler>;
    try {
      answer = next(input, ctx);
    } catch (error) {
      return rejected(ctx.method, settle(error, ctx));
    }
    if (!isIterable(answer)) {
      return answer.catch((error: unknown) => {
        throw settle(error, ctx);
      });
    }
    return guardStream(answer, (error) => settle(error, ctx));
  };
}

async function* guardStream(
  responses: AsyncIterable<Message>,
  settle: (error: unknown) => unknown,
): AsyncGenerator<Message> {
  try {
    yield* responses;
  } catch (error) {
    throw settle(error);
  }
}

const checked =
  (check: RequestCheck): Middleware =>
  (method, next) => {
    if (method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming") {
      return (input, ctx) => next(isMessage(input) ? input : checkEach(method, input, check), ctx);
    }
    return (input, ctx) => {
      if (!isMessage(input)) return rejected(method, new Error(`${method.name} takes one request`));
      check(method, input);
      return next(input, ctx);
    };
  };

async function* checkEach(
  method: DescMethod,
  requests: AsyncIterable<Message>,
  check: RequestCheck,
): AsyncGenerator<Message> {
  for await (const request of requests) {
    check(method, request);
    yield request;
  }
}

const isMessage = (input: Message | AsyncIterable<Message>): input is Message => "$typeName" in input;

/** A failed call, in the form that the kind of method returns. */
function rejected(method: DescMethod, error: unknown): Promise<Message> | AsyncIterable<Message> {
  if (method.methodKind === "unary" || method.methodKind === "client_streaming") return Promise.reject(error);
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
}

function traceOf(head: CallHead): TraceContext {
  const traceparent = head.metadata("traceparent");
  if (!traceparent) return {};
  const tracestate = head.metadata("tracestate");
  return tracestate ? { traceparent, tracestate } : { traceparent };
}

/** The request id of the client if it is fit for a log line. */
const printable = (raw: string | undefined): string | undefined =>
  raw !== undefined && /^[\x21-\x7e]{1,128}$/.test(raw) ? raw : undefined;
