import type { DescMethod } from "@bufbuild/protobuf";

/** W3C trace context of a call, as its two headers. Empty when the caller sent none. */
export type TraceContext = { readonly traceparent?: string; readonly tracestate?: string };

/** What a handler knows of its call besides the request. It is the same for grpc-js and connect-node. */
export type CallContext = {
  /** The method that is called. */
  readonly method: DescMethod;
  /**
   * Aborts when the client has left, the deadline has passed or the server goes down; `signal.reason` is the `PaddockError` to
   * answer with. Also aborts when the call is over, so what hangs on it is always released.
   */
  readonly signal: AbortSignal;
  /** The deadline by the host's clock; undefined for a stream on which the client set none. */
  readonly deadline: Date | undefined;
  /** The metadata `paddock-request-id`, or a generated one: for logs and error details, never a key of idempotency. */
  readonly requestId: string;
  /** Value of a metadata key (lower case), ASCII keys only. */
  readonly metadata: (key: string) => string | undefined;
  readonly trace: TraceContext;
  /** Address of the client, such as "127.0.0.1:40512". */
  readonly peer: string;
};
