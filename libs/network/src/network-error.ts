/** The closed set of ways in which this package fails. */
export type NetworkErrorKind =
  /** A value is malformed or contradicts another one. Nothing was changed. */
  | "invalid"
  /** No free address is left in the pool. */
  | "exhausted"
  /** The address or the port is in use. */
  | "taken"
  /** The program is not installed. */
  | "missing"
  /** The kernel or the program refused. The message has what the program printed. */
  | "refused"
  /** The program did not end within its deadline, or printed too much. */
  | "unresponsive";

/** The error that this package throws. */
export class NetworkError extends Error {
  readonly kind: NetworkErrorKind;

  constructor(kind: NetworkErrorKind, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "NetworkError";
    this.kind = kind;
  }
}
