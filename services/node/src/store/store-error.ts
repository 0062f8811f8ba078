/** The protocol's errors for a state that SQLite cannot write. */
import { PaddockError } from "@paddock/domain";

/** Result codes of SQLite that concern the file and not the statement; the low byte of `errcode`. */
const FULL = 13;
const UNWRITABLE: ReadonlySet<number> = new Set([
  3, // PERM
  8, // READONLY
  10, // IOERR
  14, // CANTOPEN
]);

/** Maps an error of SQLite to NO_DISK_SPACE or STATE_UNWRITABLE; other errors are returned unchanged. */
export function storeError(error: unknown): unknown {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return error;
  const code = error.errcode & 0xff;
  if (code === FULL) return diskFull("the node's state cannot be written: its disk is full", error);
  if (UNWRITABLE.has(code)) return unwritableState(error);
  return error;
}

/** The file system of the state directory has no room. */
export const diskFull = (message: string, cause: unknown): PaddockError =>
  new PaddockError("NO_DISK_SPACE", message, {
    hint: "make room on the file system of the node's state directory",
    cause,
  });

/** The node's state directory is read-only, or its disk fails. */
export const unwritableState = (cause: unknown): PaddockError =>
  new PaddockError("STATE_UNWRITABLE", "the node's state cannot be written", {
    hint: "check the mount and the disk of the node's state directory; running sandboxes are not affected",
    cause,
  });
