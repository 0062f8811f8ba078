/** The daemon's log: the part of pino that it needs. Fields first, then the message. Never a secret. */
export interface NodeLog {
  level: string;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The same log, with a sandbox's id on each line. */
export const sandboxLog = (log: NodeLog, sandbox: string): Omit<NodeLog, "level"> => ({
  debug: (fields, message) => log.debug({ sandbox, ...fields }, message),
  info: (fields, message) => log.info({ sandbox, ...fields }, message),
  warn: (fields, message) => log.warn({ sandbox, ...fields }, message),
  error: (fields, message) => log.error({ sandbox, ...fields }, message),
});
