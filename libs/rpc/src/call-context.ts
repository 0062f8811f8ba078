import type { DescMethod } from "@bufbuild/protobuf";

/** W3C trace context of a call, as its two headers. Empty when the caller sent none. */
export type TraceContext = { readonly traceparent?: string; readonly tracestate?: string };

/** The context of a call, in addition to its request. It is the same for grpc-js and connect-node. */
export type CallContext = {
  /** The method that is called. */
  readonly method: DescMethod;
  /**
   * Aborts when the client has disconnected, the deadline has passed or the server shuts down; `signal.reason` is the
   * `PaddockError` to answer with. Also aborts when the call has ended, so that its resources are always released.
   */
  readonly signal: AbortSignal;
  /** The deadline by the host's clock; undefined for a stream without a deadline from the client. */
  readonly deadline: Date | undefined;
  /** The metadata `paddock-request-id`, or a generated one: for logs and error details, never a key of idempotency. */
  readonly requestId: string;
  /** Value of a metadata key (lower case), ASCII keys only. */
  readonly metadata: (key: string) => string | undefined;
  readonly trace: TraceContext;
  /** Address of the client, such as "127.0.0.1:40512". */
  readonly peer: string;
};
