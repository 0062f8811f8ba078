/**
 * Names of archive entries, made safe. Paths here are relative to the image's root, without `.` or empty
 * components, and as byte strings. `""` is the root itself.
 */
import { ImageError, quoteName } from "./image-error.ts";

const maxPathBytes = 4095;
const maxNameBytes = 255;

/**
 * Normalises the name of an entry. A leading `/` means the image's root, as builders (kaniko, Bazel, Nix) write it.
 * Throws `unsafe_path` for a name that climbs.
 */
export function entryPath(name: string): string {
  return components(name, name).join("/");
}

/** Normalises the target of a hard link, which names another entry of the image. */
export function hardlinkTarget(name: string, link: string): string {
  const target = components(name, link).join("/");
  if (target === "") throw unsafe(name, "is a hard link to the root directory");
  return target;
}

/**
 * Checks a symbolic link. Nothing is ever unpacked on the host, so a link cannot hurt it; but a relative
 * one that climbs past the root means another file to every tool that looks at it, and is refused as
 * container engines do. Absolute ones are ordinary: they are resolved inside the container's root.
 */
export function checkSymlink(path: string, link: string): void {
  if (link === "" || link.length > maxPathBytes)
    throw unsafe(path, "is a symbolic link with an empty or overlong target");
  if (link.startsWith("/")) return;
  let depth = path.split("/").length - 1;
  for (const part of link.split("/")) {
    if (part === "..") depth -= 1;
    else if (part !== "" && part !== ".") depth += 1;
    if (depth < 0) throw unsafe(path, "is a symbolic link that climbs out of the image");
  }
}

/** Splits a normalised path into its directory and its last component. */
export function splitPath(path: string): { parent: string; name: string } {
  const slash = path.lastIndexOf("/");
  return slash === -1
    ? { parent: "", name: path }
    : { parent: path.slice(0, slash), name: path.slice(slash + 1) };
}

function components(entry: string, path: string): string[] {
  if (path.length > maxPathBytes) throw unsafe(entry, `is longer than ${maxPathBytes} bytes`);
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  for (const part of parts) {
    if (part === "..") throw unsafe(entry, "contains ..");
    if (part.length > maxNameBytes) throw unsafe(entry, `has a component longer than ${maxNameBytes} bytes`);
  }
  return parts;
}

export function unsafe(name: string, why: string): ImageError {
  return new ImageError(
    "unsafe_path",
    `the entry ${quoteName(name)} ${why}`,
    "an image may only hold names inside its own root; build it again with a current tool",
  );
}
