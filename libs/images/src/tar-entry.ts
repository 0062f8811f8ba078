import type { TarEntryType } from "./tar-header.ts";

/** One entry. `path` and `link` are byte strings exactly as in the archive, not normalised. */
export interface TarEntry {
  readonly type: TarEntryType;
  readonly path: string;
  readonly link: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Size of `body`, in bytes; 0 except for files. */
  readonly size: number;
  /** Whole seconds since 1970; may be negative. */
  readonly mtime: number;
  /** Extended attributes, name to value, both byte strings. */
  readonly xattrs: ReadonlyMap<string, string>;
  /** Offset of the body in the (uncompressed) archive, in bytes. */
  readonly offset: number;
  /** The content. Read it at most once, and before the next entry. */
  readonly body: AsyncIterable<Buffer>;
}
