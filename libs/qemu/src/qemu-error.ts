/** The closed set of ways in which this package fails. Callers switch on `kind`, never on the message. */
export type QemuErrorKind =
  /** The spec cannot be expressed as a command line (an id, a path or a number out of range). */
  | "invalid-spec"
  /** The process could not be started, or ended before its monitor answered. */
  | "spawn-failed"
  /** The monitor connection is closed, by QEMU or by this process. */
  | "qmp-closed"
  /** The peer violated the protocol: no greeting, an overlong line, not JSON. */
  | "qmp-protocol"
  /** QEMU refused a command; `detail` has its error class. */
  | "qmp-refused"
  /** No reply within the deadline. */
  | "deadline"
  /** The caller's AbortSignal fired. */
  | "aborted"
  /** The pid belongs to another process, or the process cannot be signalled. */
  | "identity-mismatch"
  /** QEMU is missing, its version is unreadable, or it has a known vulnerability. */
  | "unsupported-qemu"
  /** KVM is required and could not be proven. */
  | "kvm-unusable";

/** The error that this package throws. */
export class QemuError extends Error {
  readonly kind: QemuErrorKind;
  /** Machine-readable detail, for example the QMP error class. */
  readonly detail: string | undefined;

  constructor(kind: QemuErrorKind, message: string, options: { cause?: unknown; detail?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "QemuError";
    this.kind = kind;
    this.detail = options.detail;
  }
}
