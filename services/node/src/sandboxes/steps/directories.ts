import { mkdir, rm, writeFile } from "node:fs/promises";
import { ownVmDirectory } from "../../machine/vm-directory.ts";
import type { BootStep } from "./boot-context.ts";

/** The sandbox's directories; see `sandbox-paths.ts`. Others may pass through `dir`, so that the VM's user reaches its own files. */
export const directories: BootStep = {
  name: "directories",
  async run({ node, entry: { paths, sandboxId, record } }) {
    const uid = node.vmUidBase + record.slot;
    await mkdir(paths.dir, { recursive: true, mode: 0o711 });
    await writeFile(paths.idFile, `${sandboxId}\n`, { mode: 0o600 });
    await mkdir(paths.logDir, { recursive: true, mode: 0o700 });
    await ownVmDirectory(paths, uid);
  },
  async undo({ entry: { paths } }) {
    await rm(paths.dir, { recursive: true, force: true });
  },
};
