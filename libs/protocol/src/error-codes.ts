import { ERROR_KINDS, type ErrorKind, type ErrorReason } from "@paddock/domain";

/**
 * The one table between error kinds and gRPC codes (https://grpc.io/docs/guides/status-codes/). `satisfies` makes it
 * exhaustive: a new kind does not compile before it has a code.
 */
export const KIND_CODES = {
  cancelled: 1,
  invalid_argument: 3,
  deadline_exceeded: 4,
  not_found: 5,
  already_exists: 6,
  permission_denied: 7,
  resource_exhausted: 8,
  failed_precondition: 9,
  aborted: 10,
  out_of_range: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  data_loss: 15,
  unauthenticated: 16,
} as const satisfies Record<ErrorKind, number>;

/** The reason of an error that came with a code and nothing else. */
export const BARE_REASONS = {
  cancelled: "CANCELLED",
  invalid_argument: "INVALID_ARGUMENT",
  deadline_exceeded: "DEADLINE",
  not_found: "NOT_FOUND",
  already_exists: "ALREADY_EXISTS",
  permission_denied: "PERMISSION_DENIED",
  resource_exhausted: "RESOURCE_EXHAUSTED",
  failed_precondition: "FAILED_PRECONDITION",
  aborted: "ABORTED",
  out_of_range: "OUT_OF_RANGE",
  unimplemented: "NOT_IMPLEMENTED",
  internal: "INTERNAL",
  unavailable: "UNAVAILABLE",
  data_loss: "DATA_LOSS",
  unauthenticated: "BAD_TOKEN",
} as const satisfies Record<ErrorKind, ErrorReason>;

/** The gRPC code of a kind. */
export const codeOfKind = (kind: ErrorKind): number => KIND_CODES[kind];

/** The kind of a gRPC code; UNKNOWN (2) and numbers that are no code are `internal`. */
export const kindOfCode = (code: number): ErrorKind =>
  ERROR_KINDS.find((kind) => KIND_CODES[kind] === code) ?? "internal";

/** The name of a gRPC code as people write it, for metrics and logs: "NOT_FOUND"; 0 is "OK". */
export const codeName = (code: number): string => (code === 0 ? "OK" : kindOfCode(code).toUpperCase());
