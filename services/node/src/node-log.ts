/** What the daemon logs with: the part of pino that it needs. Fields first, then the sentence. Never a secret. */
export interface NodeLog {
  level: string;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
