/**
 * Generated ids, and how to distinguish them from chosen names by their form.
 *
 * Only a generated id may be shortened: a chosen name has a meaning, and scripts number names. A chosen name may look like a
 * generated id ("202601311200", "cafebabecafe"), so ids generated here end in check digits that one of 65,536 names of that form
 * has, and `chosenName` refuses those. The ids that the api generates are UUIDs of version 8, which nothing else uses.
 */
import { createHash, randomBytes } from "node:crypto";
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";

/** The api refuses an id that exists already: among 10,000 ids that happens once in 400,000. */
const RANDOM_BYTES = 4;
const CHECK_DIGITS = 4;
const OURS = /^[0-9a-f]{12}$/;
const OF_THE_API = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** A shorter prefix is more likely a word, such as "db". */
const MIN_PREFIX_LENGTH = 4;

/** A new id that is short enough to type. */
export function newId(random: (size: number) => Buffer = randomBytes): string {
  const body = random(RANDOM_BYTES).toString("hex");
  return `${body}${checkOf(body)}`;
}

/** Whether an id was generated, by `newId` or by the api. */
export const isGeneratedId = (id: string): boolean =>
  OF_THE_API.test(id) || (OURS.test(id) && id.endsWith(checkOf(id.slice(0, 2 * RANDOM_BYTES))));

/**
 * Checks a name that a user chose for a new object. Throws if it has the form of a generated id, which a prefix may stand for.
 */
export function chosenName(name: string): string {
  if (!isGeneratedId(name)) return name;
  throw usageError(
    `"${printable(name)}" has the form of a generated id, which a prefix of it could refer to`,
    "choose another name, or leave out --name",
  );
}

/** Whether `text` may stand for `id`: it is the id, or a prefix of at least four characters of a generated id. */
export const isShortFor = (text: string, id: string): boolean =>
  text === id || (text.length >= MIN_PREFIX_LENGTH && id.startsWith(text) && isGeneratedId(id));

const checkOf = (body: string): string =>
  createHash("sha256").update(`paddock id\n${body}`).digest("hex").slice(0, CHECK_DIGITS);
