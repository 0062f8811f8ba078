import type { LogPolicy } from "@paddock/protocol";

export type LogLimits = {
  /** Size at which a file is rotated, in bytes. */
  readonly maxFileBytes: number;
  /** Files kept. */
  readonly maxFiles: number;
};

const DEFAULT_MAX_FILE_BYTES = 32 * 1024 * 1024;
const DEFAULT_MAX_FILES = 5;

/** The bounds of a container's log files, from its spec or the defaults. */
export const logLimitsOf = (policy: LogPolicy | undefined): LogLimits => ({
  maxFileBytes: Number(policy?.maxFileBytes ?? 0n) || DEFAULT_MAX_FILE_BYTES,
  maxFiles: policy?.maxFiles || DEFAULT_MAX_FILES,
});
