/** The connection's news as lines of a log: trouble with its cause, as `err`, where pino shows a stack. */
import type { BusEvent } from "./bus.ts";

/** The part of pino that is needed. */
export type BusLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
};

const LINES = {
  connected: { level: "info", text: "connected to NATS" },
  "connect-failed": { level: "warn", text: "NATS cannot be connected to, trying again" },
  lost: { level: "warn", text: "the connection to NATS was lost, trying again" },
  refused: { level: "warn", text: "NATS refused what this connection asked for" },
} as const satisfies Record<BusEvent["kind"], object>;

/** For `BusOptions.onEvent`. */
export const logBusEvents =
  (log: BusLog) =>
  ({ kind, ...fields }: BusEvent): void => {
    const { level, text } = LINES[kind];
    log[level](fields, text);
  };
