/**
 * Traces with OpenTelemetry, exported only if an OTLP endpoint is configured. Without one the SDK, which takes a second to load,
 * is not loaded, spans do nothing, and the headers of a caller's trace are still passed on.
 */
import { type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { contextOf, headersOf, type TraceHeaders } from "./trace-headers.ts";

export type TracingOptions = {
  /** `service.name` of the resource. */
  readonly serviceName: string;
  /** OTLP over HTTP, such as "http://127.0.0.1:4318"; undefined exports nothing. */
  readonly endpoint: string | undefined;
};

/** The running export of traces. */
export type Tracing = {
  /** Sends the remaining spans. */
  shutdown(): Promise<void>;
};

/** Starts the export of traces if there is an endpoint. The exporter reads its further settings from `OTEL_*`. */
export async function startTracing({ serviceName, endpoint }: TracingOptions): Promise<Tracing> {
  if (!endpoint) return { shutdown: async () => {} };
  const { NodeSDK } = await import("@opentelemetry/sdk-node");
  const sdk = new NodeSDK({
    serviceName,
    autoDetectResources: false,
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  return { shutdown: () => sdk.shutdown() };
}

/** A span that has not ended. */
export type OpenSpan = {
  /** Headers that make further calls children of the span; the caller's own if nothing is recorded. */
  readonly headers: TraceHeaders;
  /** Ends it; `errorType` (a gRPC code name, or a reason) marks it as failed. */
  end(errorType?: string): void;
};

const TRACER = "paddock";

/**
 * Starts a span as a child of the caller's headers. `attributes` contain no user data except ids, and are named by the
 * OpenTelemetry conventions (`rpc.method`, …).
 */
export function beginSpan(
  name: string,
  kind: "server" | "client",
  parent: TraceHeaders,
  attributes: Readonly<Record<string, string>> = {},
): OpenSpan {
  const parentContext = contextOf(parent);
  const span = trace
    .getTracer(TRACER)
    .startSpan(
      name,
      { kind: kind === "server" ? SpanKind.SERVER : SpanKind.CLIENT, attributes },
      parentContext,
    );
  if (!span.isRecording()) return { headers: parent, end: () => {} };
  return {
    headers: headersOf(trace.setSpan(parentContext, span)),
    end: (errorType) => endSpan(span, errorType),
  };
}

function endSpan(span: Span, errorType: string | undefined): void {
  if (errorType !== undefined) {
    span.setAttribute("error.type", errorType);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}
