/**
 * W3C trace context (https://www.w3.org/TR/trace-context/) between OpenTelemetry and the two headers that our transports
 * carry: gRPC metadata and NATS headers alike.
 */
import { type Context, propagation, ROOT_CONTEXT } from "@opentelemetry/api";

/** The two headers. Empty when there is no trace. */
export type TraceHeaders = { readonly traceparent?: string; readonly tracestate?: string };

/** version-traceid-parentid-flags, lower-case hex; anything else is dropped, as the specification asks. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The context that the headers name as parent. */
export function contextOf(headers: TraceHeaders): Context {
  if (!headers.traceparent || !TRACEPARENT.test(headers.traceparent)) return ROOT_CONTEXT;
  return propagation.extract(ROOT_CONTEXT, headers);
}

/** The headers that name the context's span as parent. */
export function headersOf(context: Context): TraceHeaders {
  const carrier: { traceparent?: string; tracestate?: string } = {};
  propagation.inject(context, carrier);
  return carrier;
}
