/** Where a copy is placed: the rules of docker cp, as a table. */
import { posix } from "node:path";
import { CliError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";
import type { WrittenPath } from "./copy-operand.ts";

export type FileKind = "file" | "directory" | "symlink" | "other";

/** What is copied. A symbolic link is copied as a link. */
export type CopySource = {
  readonly kind: FileKind;
  readonly name: string;
  /** Only the content of the directory is copied. */
  readonly isContent: boolean;
};

/** A destination after all symbolic links. */
export type Place = { readonly path: string; readonly kind: Exclude<FileKind, "symlink"> | "missing" };

/** The directory that the copy is placed in, and its name there; without a name, its content is. */
export type CopyPlan = { readonly directory: string; readonly name: string | undefined };

/** Throws `CliError` when there is no rule for it. */
export function planCopy(source: CopySource, written: WrittenPath, place: Place): CopyPlan {
  const shown = `"${printable(written.path)}"`;
  const isDirectory = source.kind === "directory";
  switch (place.kind) {
    case "directory":
      return { directory: place.path, name: source.isContent ? undefined : source.name };
    case "file":
      if (isDirectory) throw new CliError(`cannot copy a directory to ${shown}, which is a file`);
      if (written.isDirectory) throw new CliError(`${shown} is not a directory`);
      return named(place.path);
    case "missing":
      if (!isDirectory && written.isDirectory)
        throw new CliError(`there is no directory ${shown}`, { hint: "create it first" });
      return named(place.path);
    case "other":
      throw new CliError(`${shown} is neither a file nor a directory`);
    default:
      return place.kind satisfies never;
  }
}

function named(path: string): CopyPlan {
  const name = posix.basename(path);
  if (name === ".." || name === "." || name === "")
    throw new CliError(`there is no directory "${printable(path)}"`);
  return { directory: posix.dirname(path), name };
}

/** A file as it is found without following a symbolic link at the end of its path. */
export type Seen = { readonly kind: FileKind; readonly name: string; readonly linkTarget: string };

/** Finds a file. Undefined if there is none. */
export type Look = (path: string) => Promise<Seen | undefined>;

const MOST_LINKS = 40;

/** Follows symbolic links at the end of a path. The last one may lead to a file that does not exist. */
export async function resolvePlace(look: Look, path: string): Promise<Place & { readonly name: string }> {
  let at = path;
  for (let links = 0; links <= MOST_LINKS; links += 1) {
    const seen = await look(at);
    if (!seen) return { path: at, kind: "missing", name: "" };
    const { kind, name, linkTarget } = seen;
    if (kind !== "symlink") return { path: at, kind, name };
    at = linkTarget.startsWith("/") ? linkTarget : `${posix.dirname(at)}/${linkTarget}`;
  }
  throw new CliError(`"${printable(path)}" leads through more than ${MOST_LINKS} symbolic links`);
}

/** Finds what is copied. Throws `CliError` if there is nothing, or not what the path demands. */
export async function findCopySource(
  look: Look,
  { path, isDirectory, isContent }: WrittenPath,
  follow: boolean,
): Promise<CopySource> {
  const seen = isDirectory || follow ? await resolvePlace(look, path) : await look(path);
  const shown = `"${printable(path)}"`;
  if (!seen || seen.kind === "missing") throw new CliError(`there is no file ${shown}`);
  if (isDirectory && seen.kind !== "directory") throw new CliError(`${shown} is not a directory`);
  if (seen.kind === "other") throw new CliError(`${shown} is neither a file nor a directory`);
  const last = posix.basename(path);
  const name = last === ".." || last === "." ? seen.name : last;
  return { kind: seen.kind, name, isContent: isContent || name === "" || name === "." || name === "/" };
}
