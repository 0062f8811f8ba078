/**
 * The directory of a VM's process: its sockets and its writable disks.
 *
 * It belongs to the daemon, and the VM's group may only traverse it. QEMU opens its own files there and inherits its sockets as
 * descriptors. A QEMU that its guest controls can therefore neither replace a file that the daemon writes by a link, nor a
 * socket that the daemon connects to by a FIFO or another socket.
 *
 * An earlier version gave the directory to the VM's user. Such a directory is taken over: from then on nothing in it can be
 * replaced, and its content is checked.
 */
import { constants } from "node:fs";
import { lstat, mkdir, open } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import type { VmPaths } from "./vm-paths.ts";

const own = (): number => process.getuid?.() ?? 0;

/** Creates the directory, or takes it over. `uid` is the VM's user and group. */
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

/** The user of the directory's VM; undefined when there is no directory. */
export async function vmUserOf({ dir }: Pick<VmPaths, "dir">): Promise<number | undefined> {
  const found = await lstat(dir).catch(() => undefined);
  if (found === undefined) return undefined;
  return found.uid === own() ? found.gid : found.uid;
}

/** Throws VM_UNAVAILABLE unless the sockets of a running VM belong to the daemon, or to QEMU in an earlier version. */
export async function requireSockets(paths: VmPaths, uid: number): Promise<void> {
  // A VM of an earlier version may have no socket for its console.
  const needed = [paths.qmpSocket, paths.agentSocket, paths.serialSocket];
  for (const path of needed) {
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined) continue;
    const isOurs = found.isSocket() && found.nlink === 1 && (found.uid === own() || found.uid === uid);
    if (!isOurs)
      throw new PaddockError("VM_UNAVAILABLE", `${path} is not the socket that the daemon created`, {
        hint: "the VM's process has replaced it; delete the sandbox with force",
      });
  }
}
