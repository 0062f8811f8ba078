/**
 * Texts from a guest. The tenant controls the guest, so a text of its agent may try to forge log lines, move a terminal's
 * cursor, or be very long. Only this form of it reaches a message or a log.
 */
const MAX_CHARACTERS = 512;

// Control characters (C0, C1), line and paragraph separators, and the marks that reorder text.
const UNSAFE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+/gu;

/** `raw` on one line, without control characters, at most `maxCharacters` long. */
export function guestText(raw: string, maxCharacters = MAX_CHARACTERS): string {
  const shortened = raw.length > maxCharacters ? `${raw.slice(0, maxCharacters)}…` : raw;
  return shortened.toWellFormed().replace(UNSAFE, " ").trim();
}
