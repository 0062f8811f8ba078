/** The VM of a sandbox, from the node's store. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parseVmId, type VmPaths, vmPaths } from "../../services/node/src/vm/vm-paths.ts";

/** The paths of the files of a sandbox's VM. */
export function vmOf(stateDirectory: string, sandboxId: string): VmPaths {
  const id = parseVmId(vmIds(stateDirectory).get(sandboxId) ?? "");
  if (id === undefined) throw new Error(`the store has no VM of sandbox ${sandboxId}`);
  return vmPaths(stateDirectory, id);
}

/** Ids of VMs, by the id of the sandbox. */
export function vmIds(stateDirectory: string): Map<string, string> {
  using database = new DatabaseSync(join(stateDirectory, "node.db"), { readOnly: true });
  const rows = database.prepare("SELECT id, vm FROM sandbox").all();
  return new Map(rows.map(({ id, vm }) => [String(id), String(vm)]));
}
