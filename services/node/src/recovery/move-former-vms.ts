import { lstat, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import type { NodeContext } from "../node-context.ts";
import { formerVmsDir, parseVmId, vmPaths } from "../vm/vm-paths.ts";

/**
 * Gives VMs of the version before their place of today. It had them in `vm` of their sandbox's directory, whose name was also the VM's.
 * A VM that runs does not notice: it has its files open, and a socket is reached by whatever path leads to it.
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
      log.info({ vm: id }, "the directory of a VM of an earlier version was moved");
    } catch (error) {
      log.error({ vm: id, err: error }, "the directory of a VM of an earlier version could not be moved");
    }
  }
}

const isDirectory = async (path: string): Promise<boolean> =>
  (await lstat(path).catch(() => undefined))?.isDirectory() === true;
