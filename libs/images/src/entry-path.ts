/**
 * Normalises and checks the names of archive entries. Paths are byte strings, relative to the image's root, without `.` or empty
 * components. `""` is the root.
 */
import { ImageError, quoteName } from "./image-error.ts";

const maxPathBytes = 4095;
const maxNameBytes = 255;

/**
 * Normalises the name of an entry. A leading `/` means the image's root, as some builders write it (kaniko, Bazel, Nix).
 * Throws `unsafe_path` for a name with `..`.
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
 * Checks a symbolic link. Nothing is unpacked on the host, so a link cannot harm it. A relative link that leaves the root is refused,
 * as container engines do, because tools resolve it to different files. An absolute link is valid: it is resolved inside the
 * container's root.
 */
export function checkSymlink(path: string, link: string): void {
  if (link === "" || link.length > maxPathBytes)
    throw unsafe(path, "is a symbolic link with an empty or overlong target");
  if (link.startsWith("/")) return;
  let depth = path.split("/").length - 1;
  for (const part of link.split("/")) {
    if (part === "..") depth -= 1;
    else if (part !== "" && part !== ".") depth += 1;
    if (depth < 0) throw unsafe(path, "is a symbolic link that leads out of the image");
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
    "an image may contain only names inside its root; rebuild it with a current tool",
  );
}
