/** Every way this package fails, as a closed list. */
export type CgroupErrorKind =
  /** No cgroup file system is mounted, or the tables of it cannot be read. */
  | "no-hierarchy"
  /** A name or a value that must not reach the file system. */
  | "invalid"
  /** The kernel refused a write, a mkdir or a rmdir. */
  | "refused"
  /** Processes were still there at the deadline. */
  | "busy";

/** What this package throws. */
export class CgroupError extends Error {
  readonly kind: CgroupErrorKind;

  constructor(kind: CgroupErrorKind, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CgroupError";
    this.kind = kind;
  }
}
