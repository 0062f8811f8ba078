/**
 * The closed set of ways in which an image operation can fail.
 *
 * - `invalid_archive`: a malformed or truncated archive, manifest or config.
 * - `digest_mismatch`: the content of a blob does not match its digest.
 * - `unsupported`: well-formed, but the store does not support the media type, feature or platform.
 * - `unsafe_path`: an entry that leaves the image's root or writes through a link.
 * - `too_large`: beyond a limit of the store (bytes, entries, layers, memory, time).
 * - `no_space`: the disk would have less free space than configured.
 * - `failed`: the process that converts archives ended without a result.
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

/** An error of the image store. `message` states what failed and why; `hint` states what to do about it. */
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

const damaged = "the archive is damaged or truncated; create it again and send it again";

/** The archive or a document in it is incomplete or malformed. */
export function invalidArchive(what: string, options?: ErrorOptions): ImageError {
  return new ImageError("invalid_archive", what, damaged, options);
}

/** The layer is complete, but its content is contradictory: the image was built that way. */
export function invalidLayer(what: string): ImageError {
  return new ImageError(
    "invalid_archive",
    what,
    "the layer was built incorrectly, not damaged in transit; rebuild the image",
  );
}

/** A document in the archive is valid JSON, but a value in it is wrong. */
export function invalidDocument(document: string, what: string): ImageError {
  return new ImageError(
    "invalid_archive",
    `${document}: ${what}`,
    `${document} is wrong, not damaged in transit; correct it and rebuild the image`,
  );
}

/**
 * Formats a name from an archive for a message or log line. Names are untrusted byte strings (one character per byte), so control
 * characters are escaped and long names are truncated.
 */
export function quoteName(name: string): string {
  const text = Buffer.from(name.slice(0, 400), "latin1").toString("utf8");
  const escaped = JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return escaped.length > 160 ? `${escaped.slice(0, 160)}…"` : escaped;
}
