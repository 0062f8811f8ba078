import { lstat, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import type { NodeContext } from "../node-context.ts";
import { formerVmsDir, parseVmId, vmPaths } from "../vm/vm-paths.ts";

/**
 * Moves VMs of the former version to their present place. That version kept them in `vm` in the sandbox's directory, whose name
 * was also the VM's. A running VM is not affected: its files are open, and a socket can be reached by any path that leads to
 * it.
 */
export async function moveFormerVms({ stateDir, log }: Pick<NodeContext, "stateDir" | "log">): Promise<void> {
  const former = formerVmsDir(stateDir);
  for (const name of await readdir(former).catch(() => [])) {
    const id = parseVmId(name);
    const from = join(former, name, "vm");
    if (id === undefined || !(await isDirectory(from))) continue;
    const { dir } = vmPaths(stateDir, id);
    try {
      await rename(from, dir);
      log.info({ vm: id }, "moved the directory of a VM of an earlier version");
    } catch (error) {
      log.error({ vm: id, err: error }, "moving the directory of a VM of an earlier version failed");
    }
  }
}

const isDirectory = async (path: string): Promise<boolean> =>
  (await lstat(path).catch(() => undefined))?.isDirectory() === true;
