/**
 * The handlers of a service: a map with one function per method, with one signature for all four kinds of methods.
 *
 * A handler takes the request (or an async iterable of requests) and returns a promise (or an async iterable). Back-pressure is
 * the iteration itself: the transport requests the next response when it has accepted the previous one, and reads the next
 * request when the handler requests it. When `yield` returns, the transport has the message.
 *
 * `bindService` drops the types of the messages, only here, so that transports and middleware treat all methods alike.
 */
import type { DescMessage, DescMethod, DescService, Message, MessageShape } from "@bufbuild/protobuf";
import type { CallContext } from "./call-context.ts";

type Kinds<I extends DescMessage, O extends DescMessage> = {
  unary: (request: MessageShape<I>, ctx: CallContext) => Promise<MessageShape<O>>;
  server_streaming: (request: MessageShape<I>, ctx: CallContext) => AsyncIterable<MessageShape<O>>;
  client_streaming: (requests: AsyncIterable<MessageShape<I>>, ctx: CallContext) => Promise<MessageShape<O>>;
  bidi_streaming: (
    requests: AsyncIterable<MessageShape<I>>,
    ctx: CallContext,
  ) => AsyncIterable<MessageShape<O>>;
};

/** The handler of one method. */
export type MethodHandler<M extends DescMethod> = Kinds<M["input"], M["output"]>[M["methodKind"]];

/** The handlers of all methods of a service, by local name (`createSandbox`). */
export type ServiceHandlers<S extends DescService> = {
  readonly [K in keyof S["method"]]: MethodHandler<S["method"][K]>;
};

/** A handler without its message types. The kind of the method decides which alternatives apply. */
export type AnyHandler = (
  input: Message | AsyncIterable<Message>,
  ctx: CallContext,
) => Promise<Message> | AsyncIterable<Message>;

/** A method with its handler. */
export type BoundMethod = { readonly method: DescMethod; readonly handle: AnyHandler };

/** Wraps every handler of a server. */
export type Middleware = (method: DescMethod, next: AnyHandler) => AnyHandler;

/** The methods of a service that have a handler, each with its handler. */
export function bindMethods<S extends DescService>(
  service: S,
  handlers: Partial<ServiceHandlers<S>>,
): BoundMethod[] {
  // The mapped type above ties each handler to its method; TypeScript cannot express that for a loop over all methods.
  const byName = handlers as Readonly<Record<string, AnyHandler | undefined>>;
  return service.methods.flatMap((method) => {
    const handle = byName[method.localName];
    return handle === undefined ? [] : [{ method, handle }];
  });
}

/** All methods of a service with their handlers. */
export const bindService = <S extends DescService>(service: S, handlers: ServiceHandlers<S>): BoundMethod[] =>
  bindMethods(service, handlers);

/** The name of a method as in the path of a gRPC call, such as "paddock.v1.SandboxService/CreateSandbox". */
export const methodPath = ({ parent, name }: DescMethod): string => `${parent.typeName}/${name}`;

/** The same methods with `middleware` around each, the first outermost. */
export function wrapMethods(
  methods: readonly BoundMethod[],
  middleware: readonly Middleware[],
): BoundMethod[] {
  return methods.map(({ method, handle }) => ({
    method,
    handle: middleware.reduceRight((next, wrap) => wrap(method, next), handle),
  }));
}

export const isIterable = <T>(value: Promise<T> | AsyncIterable<T>): value is AsyncIterable<T> =>
  Symbol.asyncIterator in value;
