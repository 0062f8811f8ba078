/**
 * Lets QEMU's user open /dev/net/tun, which on some hosts only root may open.
 *
 * The user can then attach to taps that belong to it, and create none: that needs CAP_NET_ADMIN, which QEMU does not have. Where the
 * device's mode does not let the user open it, QEMU gets a device node of its own in a private mount namespace. Unmounts of the host
 * still reach that namespace.
 */
import { type Stats, statSync } from "node:fs";
import type { Privileges } from "./privileges.ts";

const OWN_NODE = `
mount -t tmpfs -o size=4k,mode=0755 paddock /dev/net &&
mknod -m 0660 /dev/net/tun c 10 200 && chgrp "$0" /dev/net/tun && exec "$@"`;

/** Words to put before the command that drops privileges. Empty when the user can open the device, or the host has none. */
export function tunPrefix({ user }: Pick<Privileges, "user">, device = tunDevice()): string[] {
  if (user === undefined || device === undefined || mayOpen(device, user)) return [];
  const unshare = ["unshare", "--mount", "--propagation", "slave", "--"];
  return [...unshare, "sh", "-c", OWN_NODE, String(user.gid)];
}

type Access = Pick<Stats, "mode" | "uid" | "gid">;

const tunDevice = (): Access | undefined => statSync("/dev/net/tun", { throwIfNoEntry: false });

function mayOpen({ mode, uid, gid }: Access, user: NonNullable<Privileges["user"]>): boolean {
  const READ_WRITE = 0o6;
  const isOf = [user.gid, ...user.groups].includes(gid);
  const bits = user.uid === uid ? mode >> 6 : isOf ? mode >> 3 : mode;
  return (bits & READ_WRITE) === READ_WRITE;
}
