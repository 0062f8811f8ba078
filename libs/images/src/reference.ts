/**
 * References to images: names, and ids. No text is both.
 *
 * An id is `sha256:` and up to 64 hex digits, or 12 to 64 bare hex digits: the short id that lists show, up to the whole one. A text
 * of that form is never looked up as a name, and no image may have it as its name; otherwise the maker of an archive could take the
 * place of an image that is addressed by its id. Everything else is a name and never the beginning of an id.
 */
import { ImageError } from "./image-error.ts";

/** `repository:tag` in the short form people type, e.g. `debian:bookworm` or `ghcr.io/a/b:1`. */
export type ImageName = string & { readonly __brand: "ImageName" };

const part = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const host =
  "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?";
const grammar = new RegExp(`^((?:${host}/)?${part}(?:/${part})*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?$`);
const defaultPrefix = /^(?:index\.)?docker\.io\/(?:library\/)?/;

/**
 * Parses an image name; the tag defaults to `latest` and docker.io's prefix is dropped, so that the names a
 * client types and those in an archive agree. Grammar: distribution `reference` package.
 * Throws `invalid_reference`, also for a name that has the form of an id.
 */
export function parseImageName(text: string): ImageName {
  const name = tryParseImageName(text);
  if (name !== undefined) return name;
  throw new ImageError("invalid_reference", `${JSON.stringify(text.slice(0, 300))} ${whyNoName(text)}`, hint);
}

const hint = "use repository[:tag] in lower case, such as debian:bookworm";

function whyNoName(text: string): string {
  if (text.includes("@")) return "holds a digest, which images here are not known by";
  return hasIdForm(text) ? "has the form of an image id, which no name may have" : "is not an image name";
}

export function tryParseImageName(text: string): ImageName | undefined {
  const parts = nameParts(text);
  if (parts === undefined || isReserved(parts.repository)) return undefined;
  return `${parts.repository}:${parts.tag}` as ImageName;
}

/** Whether a text is a well-formed name but for looking like an id. */
export function hasIdForm(text: string): boolean {
  const parts = nameParts(text);
  return parts !== undefined && isReserved(parts.repository);
}

function nameParts(text: string): { repository: string; tag: string } | undefined {
  if (text.length > 384) return undefined;
  const match = grammar.exec(text);
  const repository = match?.[1]?.replace(defaultPrefix, "");
  if (repository === undefined || repository === "" || repository.length > 255) return undefined;
  return { repository, tag: match?.[2] ?? "latest" };
}

/** Repositories that ids look like: `sha256`, whatever the tag, and bare hex digits. */
const isReserved = (repository: string): boolean =>
  /^(?:sha(?:256|384|512)|[0-9a-f]{12,64})$/.test(repository);

/** An image id, or the beginning of one, as hex digits; undefined if the text is not of that form. */
export function parseIdPrefix(text: string): string | undefined {
  return /^(?:sha256:[0-9a-f]{1,64}|[0-9a-f]{12,64})$/.test(text) ? text.replace("sha256:", "") : undefined;
}
