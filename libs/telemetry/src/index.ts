/** Logs, traces and metrics. */
export * from "./call-observer.ts";
export * from "./logger.ts";
export * from "./metrics.ts";
export * from "./telemetry-settings.ts";
export * from "./trace-headers.ts";
export * from "./tracing.ts";
