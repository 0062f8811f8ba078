/**
 * The directory of what a VM's process works with: its sockets, its writable disks.
 *
 * It is the daemon's, and the VM's group may pass through it and do nothing else. QEMU opens its own files there and is given its
 * sockets as descriptors: taken over by its guest, it can neither put a link in the place of a file that the daemon writes, nor a
 * FIFO or another's socket in the place of one that it connects to.
 *
 * An earlier version gave it to the VM's user. Such a one is taken over: from then on nothing in it can be replaced, and what is
 * there is looked at.
 */
import { constants } from "node:fs";
import { lstat, mkdir, open } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import type { VmPaths } from "./vm-paths.ts";

const own = (): number => process.getuid?.() ?? 0;

/** Makes the directory, or takes it over. `uid` is the VM's user and group. */
export async function ownVmDirectory({ dir }: Pick<VmPaths, "dir">, uid: number): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const directory = await open(dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    await directory.chown(own(), uid);
    await directory.chmod(0o710);
  } finally {
    await directory.close();
  }
}

/** The user of the VM that a directory is for; undefined when there is none. */
export async function vmUserOf({ dir }: Pick<VmPaths, "dir">): Promise<number | undefined> {
  const found = await lstat(dir).catch(() => undefined);
  if (found === undefined) return undefined;
  return found.uid === own() ? found.gid : found.uid;
}

/** Throws VM_UNAVAILABLE unless the sockets of a running VM are what was made: the daemon's, or in an earlier version QEMU's. */
export async function requireSockets(paths: VmPaths, uid: number): Promise<void> {
  // One that an earlier version started need not have a socket for its console.
  const needed = [paths.qmpSocket, paths.agentSocket, paths.serialSocket];
  for (const path of needed) {
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined) continue;
    const isOurs = found.isSocket() && found.nlink === 1 && (found.uid === own() || found.uid === uid);
    if (!isOurs)
      throw new PaddockError("VM_UNAVAILABLE", `${path} is not the socket that was made there`, {
        hint: "the VM's process has replaced it; delete the sandbox with force",
      });
  }
}
