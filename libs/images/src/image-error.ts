/**
 * Everything an image operation can refuse, as a closed set of kinds.
 *
 * - `invalid_archive`: not a well-formed archive, manifest or config; or it ends too early.
 * - `digest_mismatch`: bytes that do not hash to the digest that names them.
 * - `unsupported`: well-formed, but a media type, feature or platform this store does not take.
 * - `unsafe_path`: an entry that tries to leave the image's root or to write through a link.
 * - `too_large`: over a limit of the store (bytes, entries, layers, memory, time).
 * - `no_space`: the disk's free-space floor would be crossed.
 * - `failed`: the process that reads archives ended without an answer.
 * - `not_found`, `ambiguous`, `in_use`, `invalid_reference`: about a reference to an image.
 */
export type ImageErrorKind =
  | "invalid_archive"
  | "digest_mismatch"
  | "unsupported"
  | "unsafe_path"
  | "too_large"
  | "no_space"
  | "failed"
  | "not_found"
  | "ambiguous"
  | "in_use"
  | "invalid_reference";

/** A refusal of the image store. `message` says what was refused and why; `hint` what to do about it. */
export class ImageError extends Error {
  readonly kind: ImageErrorKind;
  /** The message without the hint. */
  readonly what: string;
  readonly hint: string;

  constructor(kind: ImageErrorKind, what: string, hint: string, options?: ErrorOptions) {
    super(`${what} (${hint})`, options);
    this.name = "ImageError";
    this.kind = kind;
    this.what = what;
    this.hint = hint;
  }
}

const damaged = "the archive is damaged or was cut short; make it again and send it again";

/** An archive or a document in it that is not whole, or not what it claims to be. */
export function invalidArchive(what: string, options?: ErrorOptions): ImageError {
  return new ImageError("invalid_archive", what, damaged, options);
}

/** A layer that is whole but says something that cannot be: the image was built so. */
export function invalidLayer(what: string): ImageError {
  return new ImageError(
    "invalid_archive",
    what,
    "the layer is at fault, not its way here; build the image again",
  );
}

/** A document in the archive that is whole JSON with a wrong value in it. */
export function invalidDocument(document: string, what: string): ImageError {
  return new ImageError(
    "invalid_archive",
    `${document}: ${what}`,
    `${document} is at fault, not its way here; build the image again with that corrected`,
  );
}

/**
 * A name out of an archive, made fit for a message or a log line: names are byte strings (one character
 * per byte) chosen by whoever made the archive, so control characters are escaped and the length is cut.
 */
export function quoteName(name: string): string {
  const text = Buffer.from(name.slice(0, 400), "latin1").toString("utf8");
  const escaped = JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return escaped.length > 160 ? `${escaped.slice(0, 160)}…"` : escaped;
}
