/**
 * Spans, metrics and a log line for every call of a server, wrapped around its handlers (`observeCalls` of `@paddock/rpc`).
 */
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import type { TraceHeaders } from "./trace-headers.ts";
import { beginSpan } from "./tracing.ts";

/** The part of a call that is observed. */
export type ObservedCall = {
  readonly method: { readonly name: string; readonly parent: { readonly typeName: string } };
  readonly trace: TraceHeaders;
  readonly requestId: string;
  readonly peer: string;
};

export type CallObserver = (call: ObservedCall) => {
  readonly trace: TraceHeaders;
  end(code: string, error?: unknown): void;
};

/** Codes that point to a fault of the service rather than of its client. */
const SERVER_FAULTS = new Set(["INTERNAL", "DATA_LOSS", "UNAVAILABLE"]);

/** An observer that records all three. */
export function callObserver(log: Logger, metrics: Metrics): CallObserver {
  return (call) => {
    const method = `${call.method.parent.typeName}/${call.method.name}`;
    const counted = metrics.callStarted(method);
    const span = beginSpan(method, "server", call.trace, {
      "rpc.system.name": "grpc",
      "rpc.method": method,
      "paddock.request_id": call.requestId,
    });
    const began = performance.now();
    return {
      trace: span.headers,
      end: (code, error) => {
        counted(code);
        span.end(SERVER_FAULTS.has(code) ? code : undefined);
        const level = SERVER_FAULTS.has(code) ? "warn" : "debug";
        if (!log.isLevelEnabled(level)) return;
        log[level](
          {
            method,
            code,
            durationMs: Math.round((performance.now() - began) * 10) / 10,
            requestId: call.requestId,
            peer: call.peer,
            ...(span.headers.traceparent ? { traceId: span.headers.traceparent.slice(3, 35) } : {}),
            ...(error instanceof Error ? { error: error.message } : {}),
          },
          "call ended",
        );
      },
    };
  };
}
