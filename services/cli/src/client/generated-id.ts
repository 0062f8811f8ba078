/**
 * Ids that were generated, told from names that people chose by their form alone.
 *
 * Only a generated id may be shortened: it is no name for anything, and no script counts it up. A chosen name may look like one
 * ("202601311200", "cafebabecafe"), so ours end in a check that one of 65,536 names of that form passes, and `chosenName` refuses
 * those. The ids that the api generates are UUIDs of version 8, which nobody else makes.
 */
import { createHash, randomBytes } from "node:crypto";
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";

/** An id that is taken already is refused as such: among 10,000 that happens once in 400,000. */
const RANDOM_BYTES = 4;
const CHECK_DIGITS = 4;
const OURS = /^[0-9a-f]{12}$/;
const OF_THE_API = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** A shorter beginning is a word before it is an id, such as "db". */
const LEAST_BEGINNING = 4;

/** A new id that is short enough to type and whose beginning tells it from others. */
export function newId(random: (size: number) => Buffer = randomBytes): string {
  const body = random(RANDOM_BYTES).toString("hex");
  return `${body}${checkOf(body)}`;
}

/** Whether an id was generated, by `newId` or by the api. */
export const isGeneratedId = (id: string): boolean =>
  OF_THE_API.test(id) || (OURS.test(id) && id.endsWith(checkOf(id.slice(0, 2 * RANDOM_BYTES))));

/** A name that somebody chose for something new. Throws when it has the form of a generated id, whose beginning would stand for it. */
export function chosenName(name: string): string {
  if (!isGeneratedId(name)) return name;
  throw usageError(
    `"${printable(name)}" has the form of a generated id, and a beginning of it would do for the whole`,
    "choose another name, or leave out --name",
  );
}

/** Whether `text` may stand for `id`: it is the id, or a beginning of one that was generated, of four characters or more. */
export const isShortFor = (text: string, id: string): boolean =>
  text === id || (text.length >= LEAST_BEGINNING && id.startsWith(text) && isGeneratedId(id));

const checkOf = (body: string): string =>
  createHash("sha256").update(`paddock id\n${body}`).digest("hex").slice(0, CHECK_DIGITS);
