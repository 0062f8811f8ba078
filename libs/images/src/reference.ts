/**
 * References to images: names and ids. No text is both.
 *
 * An id is `sha256:` and up to 64 hex digits, or 12 to 64 bare hex digits, from the short id in lists up to the full id. A text of that
 * form is never looked up as a name, and no image may have it as a name. Otherwise the author of an archive could replace an image
 * that is addressed by its id. Any other text is a name, never an id prefix.
 */
import { ImageError } from "./image-error.ts";

/** `repository:tag` in its short form, such as `debian:bookworm` or `ghcr.io/a/b:1`. */
export type ImageName = string & { readonly __brand: "ImageName" };

const part = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const host =
  "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?";
const grammar = new RegExp(`^((?:${host}/)?${part}(?:/${part})*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?$`);
const defaultPrefix = /^(?:index\.)?docker\.io\/(?:library\/)?/;

/**
 * Parses an image name. The tag defaults to `latest` and the prefix of docker.io is dropped, so that a client's name matches the one
 * in an archive. Grammar: distribution `reference` package. Throws `invalid_reference`, also for a name with the form of an id.
 */
export function parseImageName(text: string): ImageName {
  const name = tryParseImageName(text);
  if (name !== undefined) return name;
  throw new ImageError("invalid_reference", `${JSON.stringify(text.slice(0, 300))} ${whyNoName(text)}`, hint);
}

const hint = "use repository[:tag] in lower case, such as debian:bookworm";

function whyNoName(text: string): string {
  if (text.includes("@")) return "contains a registry digest, which cannot be looked up";
  return hasIdForm(text) ? "has the form of an image id and cannot be a name" : "is not an image name";
}

export function tryParseImageName(text: string): ImageName | undefined {
  const parts = nameParts(text);
  if (parts === undefined || isReserved(parts.repository)) return undefined;
  return `${parts.repository}:${parts.tag}` as ImageName;
}

/** Whether a text is a well-formed name that has the form of an id. */
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

/** Repositories with the form of an id: `sha256` with any tag, and bare hex digits. */
const isReserved = (repository: string): boolean =>
  /^(?:sha(?:256|384|512)|[0-9a-f]{12,64})$/.test(repository);

/** The hex digits of an image id or id prefix; undefined if the text does not have that form. */
export function parseIdPrefix(text: string): string | undefined {
  return /^(?:sha256:[0-9a-f]{1,64}|[0-9a-f]{12,64})$/.test(text) ? text.replace("sha256:", "") : undefined;
}
