/**
 * The token with which a client resumes a watch: a position in the stream of events, in an opaque form.
 *
 * It contains the stream's creation time, so that a token of a lost stream is refused instead of being read as a position in the
 * new one.
 */
import type { EventPosition } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";

const VERSION = "1";
const FORM = /^(\d{4}-[0-9T:.Z+-]{6,60}) (\d{1,16})$/;

/** The token of a position. */
export const tokenOf = ({ streamCreated, sequence }: EventPosition): string =>
  VERSION + Buffer.from(`${streamCreated} ${sequence}`).toString("base64url");

/** The position of a token. Throws `PaddockError` INVALID_FIELD. */
export function positionOf(token: string): EventPosition {
  const text = Buffer.from(token.slice(VERSION.length), "base64url").toString("latin1");
  const [, streamCreated = "", digits = ""] = FORM.exec(text) ?? [];
  const sequence = Number(digits);
  const position = { streamCreated, sequence };
  if (streamCreated === "" || !Number.isSafeInteger(sequence) || tokenOf(position) !== token)
    throw new PaddockError("INVALID_FIELD", "the resume token is not one that a watch returned", {
      violations: [
        { field: "resume_token", description: "must be a token that a watch returned, unchanged" },
      ],
      hint: "leave it empty to watch from now on",
    });
  return position;
}
