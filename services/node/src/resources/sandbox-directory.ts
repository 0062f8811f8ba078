import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { sandboxesDir } from "../record/sandbox-paths.ts";
import type { HostResource } from "./host-resource.ts";
import { namesIn, straysOf } from "./strays.ts";

/** The sandbox's files that do not depend on its VM: its logs. */
export const sandboxDirectory: HostResource = {
  name: "sandbox-directory",
  outlivesStop: true,
  async acquire({ sandbox, sandboxId }) {
    if (sandbox === undefined) return;
    await mkdir(sandbox.logDir, { recursive: true, mode: 0o700 });
    await chmod(sandbox.dir, 0o700);
    await writeFile(sandbox.idFile, `${sandboxId}\n`, { mode: 0o600 });
  },
  async release({ sandbox }) {
    if (sandbox !== undefined) await rm(sandbox.dir, { recursive: true, force: true });
  },
  listStrays: async (host, owned) => straysOf(host, await namesIn(sandboxesDir(host.stateDir)), owned),
};
