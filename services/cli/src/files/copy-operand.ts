/** SRC and DEST of a copy, as they are written: a path here, a path in a container, or "-". */
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";

export type CopyOperand =
  | { readonly kind: "local"; readonly path: string }
  | { readonly kind: "remote"; readonly target: string; readonly path: string }
  | { readonly kind: "stream" };

/**
 * Text before the first colon names a container, unless it begins with "." or "/": "./a:b" is a local file. Throws a usage error for
 * an empty path.
 */
export function parseCopyOperand(text: string): CopyOperand {
  if (text === "-") return { kind: "stream" };
  const colon = text.indexOf(":");
  if (colon === -1 || /^[./]/.test(text)) {
    if (text === "") throw usageError("an operand is empty", "write a path, SANDBOX:PATH or -");
    return { kind: "local", path: text };
  }
  const [target, path] = [text.slice(0, colon), text.slice(colon + 1)];
  if (target === "" || path === "")
    throw usageError(
      `"${printable(text)}" has no ${target === "" ? "sandbox" : "path"}`,
      "write SANDBOX[/CONTAINER]:PATH, or ./NAME for a local file whose name has a colon",
    );
  return { kind: "remote", target, path };
}

/** A path without slashes at its end, and what they mean. */
export type WrittenPath = {
  readonly path: string;
  /** The path ends with "/", "/." or is ".": it must be a directory. */
  readonly isDirectory: boolean;
  /** The path ends with "/." or is ".": the content of the directory is meant. */
  readonly isContent: boolean;
};

export function writtenPath(text: string): WrittenPath {
  const isContent = text === "." || text.endsWith("/.");
  const isDirectory = isContent || text.endsWith("/");
  const path = (isContent ? text.slice(0, -1) : text).replace(/\/+$/, "");
  return { path: path || (text.startsWith("/") ? "/" : "."), isDirectory, isContent };
}
