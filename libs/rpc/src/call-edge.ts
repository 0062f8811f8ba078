/**
 * The edge of a server: the steps before and after every handler, over any transport.
 *
 * Order, from outside: deadline and cancellation become one signal; the observer (metrics, spans) sees the call; errors become
 * `PaddockError`s and unexpected ones are reported; the request is checked; the handler runs.
 */
import { randomUUID } from "node:crypto";
import type { DescMethod, Message } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { REQUEST_ID_KEY } from "@paddock/protocol";
import { AbortRace } from "./abort-race.ts";
import type { CallContext, TraceContext } from "./call-context.ts";
import { deadlineController, deadlinesOf, effectiveDeadline } from "./deadline.ts";
import type { RequestCheck } from "./request-check.ts";
import {
  type AnyHandler,
  type BoundMethod,
  isIterable,
  type Middleware,
  wrapMethods,
} from "./service-handlers.ts";

/** The parts of a server that apply to every call. */
export type EdgeOptions = {
  /** Refuses requests that break the rules of the schema. */
  readonly check: RequestCheck;
  /** Called with an error other than `PaddockError`, once per failed call. It must log. */
  readonly onBug: (error: unknown, ctx: CallContext) => void;
  /** Wraps every handler, the first outermost: metrics, spans, authorisation. */
  readonly middleware?: readonly Middleware[];
  /** Aborts when the server shuts down. Calls in flight fail with its reason. */
  readonly shutdown?: AbortSignal;
};

/** The transport's information about a call. */
export type CallHead = {
  readonly metadata: (key: string) => string | undefined;
  readonly peer: string;
  /** The client's deadline, in milliseconds since the epoch. */
  readonly clientDeadlineMs: number | undefined;
};

/** A call in progress. `cancel` reports that the client has disconnected, `close` that the call has ended. */
export type OpenCall = {
  readonly ctx: CallContext;
  readonly race: AbortRace;
  cancel(): void;
  close(): void;
};

/** The reason of the signal of an answered call. Created once: an error captures a stack, which costs more than the abort. */
const OVER = new PaddockError("CANCELLED", "the call has ended");

/** Opens a call: one signal for cancellation, deadline and shutdown. */
export function openCall(method: DescMethod, head: CallHead, options: EdgeOptions): OpenCall {
  const limits = deadlinesOf(method);
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
    cancel: () => controller.abort(new PaddockError("CANCELLED", `the client cancelled ${method.name}`)),
    close: () => {
      release();
      shutdown?.removeEventListener("abort", onShutdown);
      controller.abort(OVER);
    },
  };
}

/** Wraps the methods for a transport. */
export function edgeMethods(methods: readonly BoundMethod[], options: EdgeOptions): BoundMethod[] {
  const inner = [...(options.middleware ?? []), typedErrors(options), checked(options.check)];
  return wrapMethods(methods, inner);
}

/** The error of a call: an aborted call fails with the reason of its signal, regardless of the thrown error. */
export function callError(error: unknown, ctx: CallContext): unknown {
  if (error instanceof PaddockError) return error;
  return ctx.signal.aborted ? ctx.signal.reason : error;
}

/** The response of a call with one response. Rejects as soon as the call's signal aborts. */
export async function responseOf(
  { ctx, race }: OpenCall,
  input: Message | AsyncIterable<Message>,
  handle: AnyHandler,
): Promise<Message> {
  const answer = handle(input, ctx);
  if (isIterable(answer)) throw new Error(`the handler of ${ctx.method.name} answers with a stream`);
  return await race.run(answer);
}

/** The responses of a call with any number of responses. The iteration ends as soon as the call's signal aborts. */
export async function* responsesOf(
  { ctx, race }: OpenCall,
  input: Message | AsyncIterable<Message>,
  handle: AnyHandler,
): AsyncGenerator<Message> {
  const answer = handle(input, ctx);
  if (!isIterable(answer)) throw new Error(`the handler of ${ctx.method.name} answers with one message`);
  const responses = answer[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await race.run(responses.next());
      if (done) return;
      yield value;
    }
  } finally {
    // Cleaning up may wait for code that is slow to notice the signal. The client does not wait for it.
    responses.return?.()?.catch(() => {});
  }
}

const typedErrors =
  (options: EdgeOptions): Middleware =>
  (method, next) =>
  (input, ctx) => {
    const typed = (thrown: unknown): unknown => {
      const error = callError(thrown, ctx);
      if (error instanceof PaddockError) return error;
      options.onBug(error, ctx);
      return new PaddockError("INTERNAL", "internal error", { cause: error });
    };
    let answer: ReturnType<AnyHandler>;
    try {
      answer = next(input, ctx);
    } catch (error) {
      return rejected(method, typed(error));
    }
    if (isIterable(answer)) return withTypedError(answer, typed);
    return answer.catch((error: unknown) => {
      throw typed(error);
    });
  };

async function* withTypedError(
  responses: AsyncIterable<Message>,
  typed: (error: unknown) => unknown,
): AsyncGenerator<Message> {
  try {
    yield* responses;
  } catch (error) {
    throw typed(error);
  }
}

const checked =
  (check: RequestCheck): Middleware =>
  (method, next) => {
    if (method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming") {
      return (input, ctx) => next(isMessage(input) ? input : checkEach(method, input, check), ctx);
    }
    return (input, ctx) => {
      if (!isMessage(input)) return rejected(method, new Error(`${method.name} accepts one request`));
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

/** The client's request id, if it is suitable for a log line. */
const printable = (raw: string | undefined): string | undefined =>
  raw !== undefined && /^[\x21-\x7e]{1,128}$/.test(raw) ? raw : undefined;
