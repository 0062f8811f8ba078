/**
 * Block devices and image files of the host, as files that a VM may open.
 *
 * QEMU runs as a user of its own and takes no descriptors from Node, so it gets a device file in its VM's directory: with the
 * number of the block device, or of a loop device with the image file. The file belongs to root and the VM's group, so a QEMU
 * that its guest controls can neither change its mode nor reach another device. The directory that the client named is not used
 * again.
 *
 * A note with the identity of the source is written first and removed last. So a later daemon finds the loop device of an
 * interrupted work, and detaches no other one.
 */
import { chmod, chown, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PaddockError } from "@paddock/domain";
import type { DeviceRecord, HostSource } from "../record/device-record.ts";
import { hostDiskPath, type VmPaths, vmsDir } from "../vm/vm-paths.ts";
import { deviceNumber } from "./device-number.ts";
import { inspectSource, requireUnused } from "./inspect-source.ts";
import { attachLoop, detachLoop, listLoops, runTool } from "./loop-devices.ts";
import { openAllowed } from "./open-allowed.ts";

const NOTE = /^disk(\d{1,3})\.source$/;

/** A disk and its address. */
export type HostDisk = Pick<DeviceRecord, "source" | "target">;

export class HostDisks {
  readonly #directories: readonly string[];

  /** Clients may name devices below these directories only. */
  constructor(directories: readonly string[]) {
    this.#directories = directories;
  }

  /**
   * The source at a path. Throws INVALID_FIELD, PATH_NOT_ALLOWED and FILE_NOT_FOUND, and, unless `isOurs` says that this sandbox
   * has it already, DEVICE_IN_USE and HOST_REFUSED.
   */
  async inspect(
    asked: Pick<HostSource, "path" | "readOnly">,
    isOurs: (source: HostSource) => boolean = () => false,
  ): Promise<HostSource> {
    await using file = await openAllowed(asked.path, this.#directories);
    const source = await inspectSource(file, asked);
    if (!isOurs(source)) await requireUnused(file, source);
    return source;
  }

  /** Creates the device file of a disk for a VM. Repeatable. Throws HOST_REFUSED, also when the path has another file now. */
  async acquire(paths: VmPaths, { source, target }: HostDisk, uid: number): Promise<void> {
    await this.release(paths, target);
    await using file = await openAllowed(source.path, this.#directories);
    const { identity } = await inspectSource(file, source);
    if (identity !== source.identity)
      throw new PaddockError("HOST_REFUSED", `${source.path} was replaced by another file`);
    const node = hostDiskPath(paths, target);
    await writeFile(`${node}.source`, identity, { mode: 0o600 });
    const number = identity.startsWith("block ")
      ? identity.slice("block ".length)
      : await numberOf(await attachLoop(file, identity, source.readOnly));
    await runTool("mknod", ["--mode=0600", node, "b", ...number.split(":")]);
    await chown(node, process.getuid?.() ?? 0, uid);
    await chmod(node, source.readOnly ? 0o440 : 0o660);
  }

  /** Removes the device file of a disk, and its loop device. Succeeds when there is none. */
  async release(paths: Pick<VmPaths, "dir">, target: number): Promise<void> {
    const node = hostDiskPath(paths, target);
    const identity = await readFile(`${node}.source`, "utf8").catch(() => undefined);
    if (identity?.startsWith("file ")) await detach(node, identity);
    await rm(node, { force: true });
    await rm(`${node}.source`, { force: true });
  }

  /** Releases all disks of a VM. */
  async releaseAll(paths: Pick<VmPaths, "dir">): Promise<void> {
    for (const target of await targetsIn(paths.dir)) await this.release(paths, target);
  }

  /** Ids of the VMs of a state directory that have disks. */
  async owners(stateDir: string): Promise<readonly string[]> {
    const owners: string[] = [];
    for (const id of await readdir(vmsDir(stateDir)).catch(() => []))
      if ((await targetsIn(join(vmsDir(stateDir), id))).length > 0) owners.push(id);
    return owners;
  }
}

const numberOf = async (path: string): Promise<string> =>
  deviceNumber((await stat(path, { bigint: true })).rdev);

/** Detaches the loop device behind a device file. Without the file, an earlier daemon died between the two. */
async function detach(node: string, identity: string): Promise<void> {
  const loops = (await listLoops()).filter((each) => each.identity === identity);
  const number = await numberOf(node).catch(() => undefined);
  for (const { path } of loops)
    if (number === undefined || (await numberOf(path)) === number) await detachLoop(path);
}

const targetsIn = async (dir: string): Promise<readonly number[]> =>
  (await readdir(dir).catch(() => [])).flatMap((name) => {
    const target = NOTE.exec(name)?.[1];
    return target === undefined ? [] : [Number(target)];
  });
