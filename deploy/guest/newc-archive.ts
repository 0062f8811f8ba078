/**
 * Writes the "newc" cpio archive that the kernel unpacks as its initramfs.
 *
 * It does not use the cpio tool because the archive must be reproducible (fixed times, owners and inode numbers, sorted names)
 * and must contain a device node, for which the tool needs root.
 */

export type ArchiveEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly data: Uint8Array }
  | {
      readonly kind: "character-device";
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const TYPE_BITS = { directory: 0o040000, file: 0o100000, "character-device": 0o020000 } as const;

function padding(length: number, to: number): Buffer {
  return Buffer.alloc((to - (length % to)) % to);
}

function record(options: {
  ino: number;
  mode: number;
  links: number;
  path: string;
  data: Uint8Array;
  device: { major: number; minor: number };
}): Buffer[] {
  const name = Buffer.from(`${options.path}\0`);
  const fields = [
    options.ino,
    options.mode,
    0, // uid
    0, // gid
    options.links,
    0, // mtime
    options.data.length,
    0, // major of the device that has the file
    0,
    options.device.major,
    options.device.minor,
    name.length,
    0, // checksum, unused by "newc"
  ];
  const header = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, "0")).join("")}`);
  const head = Buffer.concat([header, name]);
  return [head, padding(head.length, 4), Buffer.from(options.data), padding(options.data.length, 4)];
}

/** The archive's bytes. The same entries give the same bytes, in any order. */
export function newcArchive(entries: readonly ArchiveEntry[]): Buffer {
  const sorted = entries.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const none = { major: 0, minor: 0 };
  const parts = sorted.flatMap((entry, index) =>
    record({
      ino: index + 1,
      mode: TYPE_BITS[entry.kind] | entry.mode,
      links: entry.kind === "directory" ? 2 : 1,
      path: entry.path,
      data: entry.kind === "file" ? entry.data : new Uint8Array(),
      device: entry.kind === "character-device" ? entry : none,
    }),
  );
  parts.push(
    ...record({ ino: 0, mode: 0, links: 1, path: "TRAILER!!!", data: new Uint8Array(), device: none }),
  );
  const body = Buffer.concat(parts);
  return Buffer.concat([body, padding(body.length, 512)]);
}
