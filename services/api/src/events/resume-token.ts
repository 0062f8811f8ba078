/**
 * Where a watch goes on, as a client keeps it: a place in the stream of events, in a form that promises nothing.
 *
 * It names the stream's birth as well, so that a token of a stream that was lost is refused and not taken for a place in the new one.
 */
import type { EventPosition } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";

const VERSION = "1";
const FORM = /^(\d{4}-[0-9T:.Z+-]{6,60}) (\d{1,16})$/;

/** The token of a place. */
export const tokenOf = ({ streamCreated, sequence }: EventPosition): string =>
  VERSION + Buffer.from(`${streamCreated} ${sequence}`).toString("base64url");

/** The place of a token. Throws `PaddockError` INVALID_FIELD. */
export function positionOf(token: string): EventPosition {
  const text = Buffer.from(token.slice(VERSION.length), "base64url").toString("latin1");
  const [, streamCreated = "", digits = ""] = FORM.exec(text) ?? [];
  const sequence = Number(digits);
  const position = { streamCreated, sequence };
  if (streamCreated === "" || !Number.isSafeInteger(sequence) || tokenOf(position) !== token)
    throw new PaddockError("INVALID_FIELD", "the resume token is none that this service gave", {
      violations: [{ field: "resume_token", description: "must be a token that a watch gave, unchanged" }],
      hint: "leave it empty to watch from now on",
    });
  return position;
}
