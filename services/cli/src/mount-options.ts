/** Options for the mounts and the disk of a new container: the same for `run` and `create`. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SandboxSpec, SandboxSpecSchema } from "@paddock/protocol";
import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import { collect } from "./command-definition.ts";
import type { Home, MountInit } from "./mounts/mount-place.ts";
import { parseMount, parseVolume } from "./mounts/mount-words.ts";
import { parseTmpfs } from "./mounts/tmpfs-words.ts";
import { printable } from "./output/printable.ts";
import { parseBytes } from "./output/quantities.ts";

export type MountOptions = {
  readonly volume?: readonly string[];
  readonly mount?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly shmSize?: string;
  readonly disk?: string;
  readonly readOnly?: boolean;
};

/** The protocol takes so many for one container. */
const MAX_MOUNTS = 64;
const MIB = 1024 ** 2;
const DISK = { least: 4 * MIB, most: 1024 ** 4 };
const SHM = { least: 4096, most: 64 * 1024 ** 3 };

export const addMountOptions = (command: Command): Command =>
  command
    .option(
      "-v, --volume <SOURCE:DEST[:ro]>",
      'mount a volume, or a directory of the node that begins with "/", "." or "~", such as "data:/var/lib/data" or "./src:/src:ro"; a missing volume is created; may be repeated',
      collect,
    )
    .option(
      "--mount <KEY=VALUE,...>",
      'the same in words: type=volume, bind or tmpfs, source, target, readonly, tmpfs-size, tmpfs-mode, such as "type=volume,source=data,target=/data"; may be repeated',
      collect,
    )
    .option(
      "--tmpfs <DEST[:OPTIONS]>",
      'mount a file system in memory, such as "/run:size=64m,mode=1777,exec" (default: 64m, noexec); may be repeated',
      collect,
    )
    .option("--shm-size <size>", "size of /dev/shm of a new sandbox: from 4k to 64g (default: 64m)")
    .option(
      "--read-only",
      "make its root file system read-only; --tmpfs and -v add places that can be written to",
    )
    .option("--disk <size>", "size of the layer that it writes to: from 4m to 1t (default: 1g)");

/** The mounts asked for, a directory before those below it. Throws a usage error. */
export function parseMounts({ volume, mount, tmpfs }: MountOptions, home: Home): MountInit[] {
  const mounts = [
    ...(volume ?? []).map((text) => parseVolume(text, home)),
    ...(mount ?? []).map((text) => parseMount(text, home)),
    ...(tmpfs ?? []).map(parseTmpfs),
  ];
  if (mounts.length > MAX_MOUNTS)
    throw usageError(`there are ${mounts.length} mounts, and a container can have ${MAX_MOUNTS}`);
  const places = mounts.map(({ destination }) => destination);
  const twice = places.find((place, at) => places.indexOf(place) !== at);
  if (twice !== undefined)
    throw usageError(`there are two mounts at ${printable(twice)}`, "a place has one mount");
  const depth = ({ destination }: MountInit) => destination.split("/").length;
  return mounts.sort((a, b) => depth(a) - depth(b));
}

/** Bytes of the writable layer; 0 means the default. Throws a usage error. */
export function diskBytes({ disk, readOnly }: MountOptions): bigint {
  if (disk === undefined) return 0n;
  if (readOnly)
    throw usageError("--read-only leaves nothing that --disk could size", "leave out one of the two");
  return sizeWithin("--disk", disk, DISK);
}

/** The part of the spec of a sandbox that its containers share in memory. `isNewSandbox` tells whether one is created. */
export function sharedMemory(
  { shmSize }: MountOptions,
  isNewSandbox: boolean,
): Pick<Exclude<MessageInitShape<typeof SandboxSpecSchema>, SandboxSpec>, "shmSizeBytes"> {
  if (shmSize === undefined) return {};
  if (!isNewSandbox)
    throw usageError(
      "the containers of --sandbox share the /dev/shm that it has",
      `"--tmpfs /dev/shm:size=${printable(shmSize)}" gives this container one of its own`,
    );
  return { shmSizeBytes: sizeWithin("--shm-size", shmSize, SHM) };
}

function sizeWithin(option: string, text: string, { least, most }: typeof DISK): bigint {
  const bytes = parseBytes(text);
  if (bytes >= least && bytes <= most) return BigInt(bytes);
  const range = option === "--disk" ? 'from "4m" to "1t"' : 'from "4k" to "64g"';
  throw usageError(`${option} ${text} is out of range`, range);
}
