/**
 * Logs: one JSON object per line on stdout.
 *
 * Requests and responses are never logged, so no secret of a tenant gets into a log through them. The redaction below is the
 * second line of defence, for objects that are logged as a whole by mistake.
 */
import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;
export type LogLevelName = (typeof LOG_LEVELS)[number];

/** A logger; `child` adds fields. Objects come first, then the message: `log.info({ sandboxId }, "created")`. */
export type Logger = PinoLogger;

/** Fields whose value is replaced, down to the third level of an object. */
const SECRET_FIELDS = ["env", "token", "authorization", "password", "secret", "stdin", "data", "content"];

export type LoggerOptions = {
  /** Name of the service. */
  readonly name: string;
  readonly level: LogLevelName;
  /** Where to write instead of stdout. */
  readonly destination?: DestinationStream;
};

/** The root logger of a service. */
export function createLogger({ name, level, destination }: LoggerOptions): Logger {
  const options = {
    name,
    level,
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      censor: "[redacted]",
    },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return destination ? pino(options, destination) : pino(options);
}

/** Changes the level of a logger and of its later children. */
export function setLogLevel(logger: Logger, level: LogLevelName): void {
  logger.level = level;
}
