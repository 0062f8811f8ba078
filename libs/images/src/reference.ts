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
 * Throws `invalid_reference`.
 */
export function parseImageName(text: string): ImageName {
  const name = tryParseImageName(text);
  if (name !== undefined) return name;
  throw new ImageError(
    "invalid_reference",
    `${JSON.stringify(text.slice(0, 300))} is not an image name`,
    "use repository[:tag] in lower case, such as debian:bookworm",
  );
}

export function tryParseImageName(text: string): ImageName | undefined {
  if (text.length > 384) return undefined;
  const match = grammar.exec(text);
  const repository = match?.[1]?.replace(defaultPrefix, "");
  if (repository === undefined || repository.length > 255) return undefined;
  // 64 hex digits would be taken for an id.
  if (/^[0-9a-f]{64}$/.test(repository)) return undefined;
  return `${repository}:${match?.[2] ?? "latest"}` as ImageName;
}

/** An image id, or the beginning of one, as hex digits; undefined if the text cannot be one. */
export function parseIdPrefix(text: string): string | undefined {
  return /^(?:sha256:[0-9a-f]{1,64}|[0-9a-f]{4,64})$/.test(text) ? text.replace("sha256:", "") : undefined;
}
