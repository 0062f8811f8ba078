import { rm } from "node:fs/promises";
import { ownVmDirectory } from "../vm/vm-directory.ts";
import { vmsDir } from "../vm/vm-paths.ts";
import type { HostResource } from "./host-resource.ts";
import { namesIn, straysOf } from "./strays.ts";

/** The directory of the VM's sockets and disks. */
export const vmDirectory: HostResource = {
  name: "vm-directory",
  outlivesStop: true,
  acquire: ({ vm, uid }) => ownVmDirectory(vm, uid),
  release: ({ vm }) => rm(vm.dir, { recursive: true, force: true }),
  listStrays: async (host, owned) => straysOf(host, await namesIn(vmsDir(host.stateDir)), owned),
};
