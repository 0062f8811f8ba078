/**
 * Names of the entries of an archive from a container.
 *
 * An archive is hostile: its names may lead anywhere. They are byte strings, one character per byte. The first entry is the file or
 * directory that was requested, all others are below it, and all get another name here, or none.
 */
import { CliError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";

const MAX_PATH_BYTES = 4095;
const MAX_NAME_BYTES = 255;

/** A byte string as text, safe for a terminal and of bounded length. */
export function shownName(name: string): string {
  const text = printable(Buffer.from(name.slice(0, 1000), "latin1").toString());
  return text.length > 200 ? `"${text.slice(0, 200)}…"` : `"${text}"`;
}

const unsafe = (name: string, why: string): CliError =>
  new CliError(`the container sent an unsafe archive: the entry ${shownName(name)} ${why}`, {
    hint: "nothing was written outside the destination",
  });

function partsOf(name: string): readonly string[] {
  if (name.startsWith("/")) throw unsafe(name, "has an absolute name");
  if (name.length > MAX_PATH_BYTES) throw unsafe(name, `has a name of more than ${MAX_PATH_BYTES} bytes`);
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  for (const part of parts) {
    if (part === "..") throw unsafe(name, 'has ".." in its name');
    if (part.length > MAX_NAME_BYTES) throw unsafe(name, `has a part of more than ${MAX_NAME_BYTES} bytes`);
  }
  return parts;
}

export class EntryNames {
  readonly #newTop: readonly string[];
  #top: readonly string[] | undefined;

  /** `name` is a byte string, which the first entry gets; undefined if only what is below it counts. */
  constructor(name: string | undefined) {
    this.#newTop = name === undefined ? [] : [name];
  }

  /** The path of an entry below the destination; empty for the destination itself. Throws `CliError` for an unsafe name. */
  place(name: string): readonly string[] {
    const parts = partsOf(name);
    this.#top ??= parts;
    if (this.#top.length > 1) throw unsafe(name, "is not the requested file");
    if (this.#top.length === 1 && parts[0] !== this.#top[0])
      throw unsafe(name, `is not below ${shownName(this.#top.join("/"))}`);
    return [...this.#newTop, ...parts.slice(this.#top.length)];
  }

  /** The path of the file that a hard link refers to. */
  placeLink(name: string, target: string): readonly string[] {
    const parts = this.place(target);
    if (parts.length === 0) throw unsafe(name, "is a hard link to the destination");
    return parts;
  }
}
