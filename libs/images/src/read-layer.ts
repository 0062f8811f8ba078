import { checkSymlink, entryPath, hardlinkTarget, splitPath, unsafe } from "./entry-path.ts";
import { ImageError, quoteName } from "./image-error.ts";
import type { ImageLimits } from "./limits.ts";
import type { Attributes, LayerChange } from "./merged-tree.ts";
import type { TarEntry } from "./tar-entry.ts";

const whiteoutPrefix = ".wh.";
const opaqueMarker = ".wh..wh..opq";
const unsigned32 = 0xffffffff;
/** The next number, all ones, means "no owner" to the kernel. */
const maxOwner = unsigned32 - 1;
/** Linux's limits on the name and the value of an extended attribute, in bytes. */
const maxXattrNameBytes = 255;
const maxXattrValueBytes = 65_536;

/** Counts the entries of one import. All its layers share it, because the limits apply to their total. */
export class EntryBudget {
  readonly #limits: ImageLimits;
  #entries = 0;
  #metadataBytes = 0;
  readonly #ids = new Set<number>();
  /** Number of device nodes left out so far. */
  devices = 0;

  constructor(limits: ImageLimits) {
    this.#limits = limits;
  }

  /** Counts an entry. Throws `too_large` beyond a limit. */
  spend(entry: TarEntry): void {
    let bytes = entry.path.length + entry.link.length;
    for (const [name, value] of entry.xattrs) bytes += name.length + value.length;
    this.#ids.add(entry.uid).add(entry.gid);
    this.#count(bytes);
  }

  /** Counts a directory without an entry like one with an entry. Throws `too_large`. */
  spendImplied(pathBytes: number): void {
    this.#count(pathBytes);
  }

  #count(bytes: number): void {
    this.#entries += 1;
    this.#metadataBytes += bytes;
    const { maxEntries, maxMetadataBytes } = this.#limits;
    if (this.#entries > maxEntries) throw tooLarge(`the image has more than ${maxEntries} entries`);
    if (this.#metadataBytes > maxMetadataBytes)
      throw tooLarge(`the names and attributes in the image exceed ${maxMetadataBytes} bytes`);
    if (this.#ids.size > maxIds) throw tooLarge(`the image has more than ${maxIds} different owners`);
  }
}

/** squashfs numbers owners with 16 bits. */
const maxIds = 65_000;

/**
 * The change of a layer's entry to the tree, or undefined if it has none. `ordinal` is the entry's position in its layer. Throws
 * `unsafe_path`, `unsupported` or `too_large`.
 *
 * Device nodes are left out: a character device can act as a whiteout in the guest's overlay, and the guest creates its own `/dev`.
 * Like any entry, they still replace the node of a lower layer at their path.
 */
export function layerChange(
  entry: TarEntry,
  at: { layer: number; ordinal: number },
  budget: EntryBudget,
): LayerChange | undefined {
  budget.spend(entry);
  const path = entryPath(entry.path);
  const whiteout = whiteoutChange(path);
  if (whiteout !== "none") return whiteout;
  const attributes = attributesOf(entry);
  switch (entry.type) {
    case "file":
      return { kind: "file", path, inode: { ...at, size: entry.size, attributes } };
    case "directory":
      return { kind: "directory", path, attributes };
    case "symlink":
      checkSymlink(path, entry.link);
      return { kind: "symlink", path, target: entry.link, attributes };
    case "hardlink":
      return { kind: "hardlink", path, target: hardlinkTarget(entry.path, entry.link) };
    case "fifo":
      return { kind: "fifo", path, attributes };
    case "device":
      budget.devices += 1;
      if (path === "") throw unsafe(entry.path, "is a device in place of the root directory");
      return { kind: "omitted", path };
    default:
      return entry.type satisfies never;
  }
}

function whiteoutChange(path: string): LayerChange | undefined | "none" {
  const { parent, name } = splitPath(path);
  if (parent.split("/").some((part) => part.startsWith(whiteoutPrefix)))
    throw unsafe(path, "is below a whiteout");
  if (!name.startsWith(whiteoutPrefix)) return "none";
  if (name === opaqueMarker) return { kind: "opaque", path: parent };
  const hidden = name.slice(whiteoutPrefix.length);
  // Metadata of the old aufs driver (.wh..wh.aufs, .wh..wh.plnk), not part of the image.
  if (hidden.startsWith(whiteoutPrefix)) return undefined;
  if (hidden === "" || hidden === "." || hidden === "..") throw unsafe(path, "is a whiteout of nothing");
  return { kind: "whiteout", path: parent === "" ? hidden : `${parent}/${hidden}` };
}

function attributesOf(entry: TarEntry): Attributes {
  if (entry.uid > maxOwner || entry.gid > maxOwner)
    throw new ImageError(
      "unsupported",
      `an owner id above ${maxOwner}`,
      "rebuild the image with 32-bit owner ids",
    );
  return {
    mode: entry.mode & 0o7777,
    uid: entry.uid,
    gid: entry.gid,
    mtime: Math.min(Math.max(entry.mtime, 0), unsigned32),
    xattrs: keptXattrs(entry.xattrs),
  };
}

/**
 * Keeps `user.*` and `security.capability`. Other attributes are dropped: `trusted.overlay.*` and `user.overlay.*` would control the
 * guest's overlay file system, security labels belong to another host, and squashfs cannot store ACLs.
 */
function keptXattrs(xattrs: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  if (xattrs.size === 0) return xattrs;
  const kept = [...xattrs].filter(
    ([name]) =>
      name === "security.capability" || (name.startsWith("user.") && !name.startsWith("user.overlay.")),
  );
  for (const [name, value] of kept)
    if (name.length > maxXattrNameBytes || value.length > maxXattrValueBytes)
      throw tooLarge(`the extended attribute ${quoteName(name)} has ${value.length} bytes`);
  return new Map(kept.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function tooLarge(what: string): ImageError {
  return new ImageError("too_large", what, "make the image smaller, or raise the node's image limits");
}
