/** Logs the events of the connection. The cause of a failure is logged as `err`, which pino prints with a stack. */
import type { BusEvent } from "./bus.ts";

/** The methods of a pino logger that are used here. */
export type BusLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
};

const LINES = {
  connected: { level: "info", text: "connected to NATS" },
  "connect-failed": { level: "warn", text: "cannot connect to NATS, will retry" },
  lost: { level: "warn", text: "lost the connection to NATS, reconnecting" },
  refused: { level: "warn", text: "NATS refused a request of this connection" },
} as const satisfies Record<BusEvent["kind"], object>;

/** For `BusOptions.onEvent`. */
export const logBusEvents =
  (log: BusLog) =>
  ({ kind, ...fields }: BusEvent): void => {
    const { level, text } = LINES[kind];
    log[level](fields, text);
  };
