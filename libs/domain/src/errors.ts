/**
 * The closed set of ways in which a call can fail.
 *
 * The kind decides the gRPC code (the table is in `libs/protocol`). Programs branch on the reason. The message is for a person: it
 * says what was attempted, on which id, with a hint when an operator can act. An error that is not a `PaddockError` is a bug:
 * clients see "internal error", and the cause is only logged.
 */
export const ERROR_KINDS = [
  "invalid_argument",
  "not_found",
  "already_exists",
  "failed_precondition",
  "resource_exhausted",
  "aborted",
  "out_of_range",
  "unimplemented",
  "unauthenticated",
  "permission_denied",
  "deadline_exceeded",
  "cancelled",
  "unavailable",
  "data_loss",
  "internal",
] as const;

export type ErrorKind = (typeof ERROR_KINDS)[number];

/** Reasons, `google.rpc.ErrorInfo.reason`: UPPER_SNAKE_CASE, each belongs to one kind. */
export const REASON_KINDS = {
  INVALID_FIELD: "invalid_argument",
  INVALID_ARCHIVE: "invalid_argument",
  UNSAFE_PATH: "invalid_argument",
  UNSUPPORTED_IMAGE: "invalid_argument",
  INVALID_REFERENCE: "invalid_argument",
  AMBIGUOUS_REFERENCE: "invalid_argument",
  STDIN_GAP: "invalid_argument",
  PATH_NOT_ALLOWED: "invalid_argument",
  SANDBOX_NOT_FOUND: "not_found",
  CONTAINER_NOT_FOUND: "not_found",
  PROCESS_NOT_FOUND: "not_found",
  IMAGE_NOT_FOUND: "not_found",
  NODE_NOT_FOUND: "not_found",
  INTERFACE_NOT_FOUND: "not_found",
  DEVICE_NOT_FOUND: "not_found",
  VOLUME_NOT_FOUND: "not_found",
  FILE_NOT_FOUND: "not_found",
  TRANSFER_NOT_FOUND: "not_found",
  SANDBOX_EXISTS: "already_exists",
  CONTAINER_EXISTS: "already_exists",
  PROCESS_EXISTS: "already_exists",
  INTERFACE_EXISTS: "already_exists",
  ADDRESS_IN_USE: "already_exists",
  DEVICE_EXISTS: "already_exists",
  VOLUME_EXISTS: "already_exists",
  WRONG_STATE: "failed_precondition",
  LIMIT_BELOW_USE: "failed_precondition",
  HOST_REFUSED: "failed_precondition",
  REQUEST_ID_REUSED: "failed_precondition",
  IMAGE_IN_USE: "failed_precondition",
  NO_TERMINAL: "failed_precondition",
  PORT_IN_USE: "failed_precondition",
  PORT_REFUSED: "failed_precondition",
  FIRST_INTERFACE: "failed_precondition",
  DEVICE_IN_USE: "failed_precondition",
  DEVICE_BUSY: "failed_precondition",
  VOLUME_IN_USE: "failed_precondition",
  BAD_FILESYSTEM: "failed_precondition",
  FILE_REFUSED: "failed_precondition",
  NO_NODES: "resource_exhausted",
  NO_CAPACITY: "resource_exhausted",
  NO_DISK_SPACE: "resource_exhausted",
  DISK_FULL: "resource_exhausted",
  TOO_LARGE: "resource_exhausted",
  TOO_MANY: "resource_exhausted",
  STALE_GENERATION: "aborted",
  OFFSET_NOT_HELD: "data_loss",
  DIGEST_MISMATCH: "data_loss",
  RECORD_CORRUPT: "data_loss",
  EVENTS_NOT_HELD: "out_of_range",
  NOT_IMPLEMENTED: "unimplemented",
  BAD_TOKEN: "unauthenticated",
  HOST_NOT_ALLOWED: "permission_denied",
  ORIGIN_NOT_ALLOWED: "permission_denied",
  DEADLINE: "deadline_exceeded",
  CANCELLED: "cancelled",
  NODE_UNAVAILABLE: "unavailable",
  BUS_UNAVAILABLE: "unavailable",
  STATE_UNWRITABLE: "unavailable",
  VM_UNAVAILABLE: "unavailable",
  GUEST_UNAVAILABLE: "unavailable",
  SHUTTING_DOWN: "unavailable",
  GUEST_FAILED: "internal",
  INTERNAL: "internal",
  // Errors of others (a proxy, the transport) that have a code but no reason. Our own code uses a reason above.
  INVALID_ARGUMENT: "invalid_argument",
  NOT_FOUND: "not_found",
  ALREADY_EXISTS: "already_exists",
  FAILED_PRECONDITION: "failed_precondition",
  RESOURCE_EXHAUSTED: "resource_exhausted",
  ABORTED: "aborted",
  OUT_OF_RANGE: "out_of_range",
  PERMISSION_DENIED: "permission_denied",
  UNAVAILABLE: "unavailable",
  DATA_LOSS: "data_loss",
} as const satisfies Record<string, ErrorKind>;

export type ErrorReason = keyof typeof REASON_KINDS;

/** One invalid field of a request: its path, such as "spec.containers[0].image", and what is wrong with it. */
export type FieldViolation = { readonly field: string; readonly description: string };

export type PaddockErrorOptions = {
  /** Machine-readable details: `actual_state`, `allowed_states`, `earliest_offset`, … Never a secret. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** What the reader of the message can do about it. */
  readonly hint?: string;
  /** For `INVALID_FIELD`. */
  readonly violations?: readonly FieldViolation[];
  /** Delay before a retry makes sense, in milliseconds. */
  readonly retryAfterMs?: number;
  /** The underlying error; logged, never sent. */
  readonly cause?: unknown;
};

/**
 * Marks an error of a call that may have taken effect or may still take effect. Without the mark, the call had no effect or its
 * effect was undone. An error that is not a `PaddockError` is returned unchanged.
 */
export function withUnknownOutcome(error: unknown): unknown {
  if (!(error instanceof PaddockError)) return error;
  const { reason, message, hint, violations, retryAfterMs } = error;
  return new PaddockError(reason, message, {
    metadata: { ...error.metadata, outcome: "unknown" },
    violations,
    cause: error,
    ...(hint !== undefined && { hint }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

/** Whether a failed call may have taken effect or may still take effect. */
export const isOutcomeUnknown = (error: unknown): boolean =>
  error instanceof PaddockError && error.metadata.outcome === "unknown";

/** An expected failure of a call. Its reason determines its kind. */
export class PaddockError extends Error {
  override readonly name = "PaddockError";
  readonly reason: ErrorReason;
  readonly kind: ErrorKind;
  readonly metadata: Readonly<Record<string, string>>;
  readonly hint: string | undefined;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;

  constructor(reason: ErrorReason, message: string, options: PaddockErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.kind = REASON_KINDS[reason];
    this.metadata = options.metadata ?? {};
    this.hint = options.hint;
    this.violations = options.violations ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** INVALID_FIELD for one field. `description` completes "the field ...", such as "must be set". */
export const invalidField = (
  field: string,
  description: string,
  message = `${field} ${description}`,
): PaddockError => new PaddockError("INVALID_FIELD", message, { violations: [{ field, description }] });

/** Whether an error is a `PaddockError` with one of these reasons. */
export const hasReason = (error: unknown, ...reasons: readonly ErrorReason[]): error is PaddockError =>
  error instanceof PaddockError && reasons.includes(error.reason);
