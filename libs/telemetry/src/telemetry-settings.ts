import { oneOf, type Settings, text } from "@paddock/lifecycle";
import { LOG_LEVELS } from "./logger.ts";

/** Settings of both the api and the node daemon. */
export const TELEMETRY_SETTINGS = {
  PADDOCK_LOG_LEVEL: { ...oneOf(...LOG_LEVELS), doc: LOG_LEVELS.join(", "), default: "info" },
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    ...text,
    doc: "where traces are sent (OTLP over HTTP), such as `http://127.0.0.1:4318`",
  },
} satisfies Settings;
