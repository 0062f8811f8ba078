import type { TarEntryType } from "./tar-header.ts";
import type { SparseMap } from "./tar-sparse.ts";

/** One entry. `path` and `link` are byte strings exactly as in the archive, not normalised. */
export interface TarEntry {
  readonly type: TarEntryType;
  readonly path: string;
  readonly link: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Size of `body`, in bytes; 0 except for files. A sparse file is larger. */
  readonly size: number;
  /** Whole seconds since 1970; may be negative. */
  readonly mtime: number;
  /** The rest of the time, 0 to 999,999,999 nanoseconds. */
  readonly mtimeNs: number;
  /** Extended attributes, name to value, both byte strings. */
  readonly xattrs: ReadonlyMap<string, string>;
  /** Where the body's bytes belong in a sparse file. */
  readonly sparse?: SparseMap;
  /** Offset of the body in the (uncompressed) archive, in bytes. */
  readonly offset: number;
  /** The content. Read it at most once, and before the next entry. */
  readonly body: AsyncIterable<Buffer>;
}
