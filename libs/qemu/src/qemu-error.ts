/** Every way this package fails, as a closed list; callers switch on `kind`, never on the message. */
export type QemuErrorKind =
  /** The spec cannot be expressed as a command line (an id, a path or a number out of range). */
  | "invalid-spec"
  /** The process could not be started, or ended before its monitor answered. */
  | "spawn-failed"
  /** The monitor's connection is gone: QEMU ended, or it was closed on this side. */
  | "qmp-closed"
  /** The peer broke the protocol: no greeting, a line too long, not JSON. */
  | "qmp-protocol"
  /** QEMU refused a command; `detail` has its error class. */
  | "qmp-refused"
  /** No answer within the deadline. */
  | "deadline"
  /** The caller's AbortSignal fired. */
  | "aborted"
  /** The pid now belongs to another process, or to none. */
  | "identity-mismatch"
  /** The QEMU found is unusable: missing, unreadable version, or one with a known hole. */
  | "unsupported-qemu"
  /** KVM was demanded and could not be proven. */
  | "kvm-unusable";

/** What this package throws. */
export class QemuError extends Error {
  readonly kind: QemuErrorKind;
  /** Machine-readable extra, for example QMP's error class. */
  readonly detail: string | undefined;

  constructor(kind: QemuErrorKind, message: string, options: { cause?: unknown; detail?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "QemuError";
    this.kind = kind;
    this.detail = options.detail;
  }
}
