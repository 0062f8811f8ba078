/** The closed set of ways in which this package fails. */
export type CgroupErrorKind =
  /** No cgroup file system is mounted, or the mount table cannot be read. */
  | "no-hierarchy"
  /** A name or value is not allowed to reach the file system. */
  | "invalid"
  /** The kernel refused a file operation. */
  | "refused"
  /** Processes remained at the deadline, or a limit is below current use. */
  | "busy";

/** The error that this package throws. */
export class CgroupError extends Error {
  readonly kind: CgroupErrorKind;

  constructor(kind: CgroupErrorKind, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CgroupError";
    this.kind = kind;
  }
}
