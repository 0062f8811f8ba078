/**
 * The command that serves a directory of the host to a machine: QEMU's virtiofsd, confined.
 *
 *     as root, in a mount namespace of its own     covers a directory with a tmpfs, and mounts the directory in it
 *     as the directory's owner, without privileges
 *     as root of a user namespace                  virtiofsd: its own mount, pid and network namespaces, pivot_root, seccomp
 *
 * The directory is the working directory in which the command starts. The kernel resolves it, and no path is looked up, so a
 * rename or a link that takes its place later changes nothing. The mount has the flags nosuid and nodev, and ro for a read-only
 * share. They were set outside of the user namespace, so the server cannot clear them. File systems that are mounted below the
 * directory are not part of the share.
 *
 * The user namespace maps one user and one group: 0 is the directory's owner. The server has capabilities over files of these
 * only, and none outside of the namespace.
 */
import { path } from "./spec-values.ts";

/** Debian's place for QEMU 7.2's virtiofsd. */
export const VIRTIOFSD = "/usr/lib/qemu/virtiofsd";
/** Files and directories that a guest may know at a time: the server holds a descriptor for each. */
const MAX_OPEN_FILES = 131_072;

export interface ShareServerSpec {
  /** A directory that all users can traverse. The server sees a tmpfs in its place. */
  readonly cover: string;
  /** The share's path below `cover`, which need not exist. It identifies the server. */
  readonly mountPoint: string;
  readonly readOnly: boolean;
  /** Owner of the directory. */
  readonly uid: number;
  readonly gid: number;
}

/** `$1` is the cover, `$2` the mount point, `$3` the mount's flags. Where the limit cannot be raised, it stays what it is. */
const SERVE = `
umask 022 && mount -t tmpfs -o size=64k,mode=0755 paddock "$1" && mkdir -p "$2" &&
mount --no-canonicalize --bind . "$2" && mount --no-canonicalize -o "$3" none "$2" && cd / &&
ulimit -c 0 && { ulimit -n ${MAX_OPEN_FILES} 2>/dev/null || ulimit -n "$(ulimit -H -n)"; } &&
shift 3 && exec "$@"`;

const OPTIONS = [
  "sandbox=namespace",
  // Attributes and entries are valid for a second, and a file that has changed is read again when it is opened.
  "cache=auto",
  // Locks stay in the guest, where all its containers see them.
  "no_posix_lock",
  "no_flock",
  "no_xattr",
  "modcaps=-mknod:-setfcap",
  "log_level=warn",
];

/**
 * The words of the command. It expects the directory as its working directory, and a listening socket as descriptor 3. It serves
 * the first connection, and ends with it. Throws QemuError `invalid-spec`.
 */
export function shareServerWords({ cover, mountPoint, readOnly, uid, gid }: ShareServerSpec): string[] {
  path(cover);
  path(mountPoint);
  const flags = `remount,bind,nosuid,nodev${readOnly ? ",ro" : ""}`;
  return [
    ...["unshare", "--mount", "--propagation", "private", "--"],
    ...["sh", "-c", SERVE, "sh", cover, mountPoint, flags],
    ...["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--no-new-privs"],
    ...["--inh-caps=-all", "--bounding-set=-all", "--"],
    ...["unshare", "--user", "--map-root-user", "--"],
    ...[
      VIRTIOFSD,
      "--fd=3",
      "-f",
      "--rlimit-nofile=0",
      "-o",
      `${sourceOption(mountPoint)},${OPTIONS.join()}`,
    ],
  ];
}

/** Options are split at commas. */
const sourceOption = (mountPoint: string): string => `source=${mountPoint.replaceAll(/[\\,]/g, "\\$&")}`;

/** The part of the mount point behind `directory/`, when these words of a process are those of a server below it. */
export function shareServerOf(words: readonly string[], directory: string): string | undefined {
  const mark = `${sourceOption(directory)}/`;
  const [found] = words.filter((word) => word.startsWith(mark)).map((word) => word.slice(mark.length));
  return found?.split(",")[0];
}
