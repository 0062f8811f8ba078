/**
 * W3C trace context (https://www.w3.org/TR/trace-context/): converts OpenTelemetry contexts to and from the two headers in gRPC
 * metadata and NATS messages.
 */
import { type Context, propagation, ROOT_CONTEXT } from "@opentelemetry/api";

/** The two headers. Empty when there is no trace. */
export type TraceHeaders = { readonly traceparent?: string; readonly tracestate?: string };

/** version-traceid-parentid-flags in lower-case hex. Anything else is dropped, as the specification requires. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The parent context in the headers. */
export function contextOf(headers: TraceHeaders): Context {
  if (!headers.traceparent || !TRACEPARENT.test(headers.traceparent)) return ROOT_CONTEXT;
  return propagation.extract(ROOT_CONTEXT, headers);
}

/** Headers with the span of the context as parent. */
export function headersOf(context: Context): TraceHeaders {
  const carrier: { traceparent?: string; tracestate?: string } = {};
  propagation.inject(context, carrier);
  return carrier;
}
