/** Owners found on the host by name alone. */
import { readdir } from "node:fs/promises";
import { pathsOfName } from "../record/sandbox-paths.ts";
import { parseVmId, vmPaths } from "../vm/vm-paths.ts";
import type { OwnedNames, ResourceHost, ResourceOwner } from "./host-resource.ts";

/** The owners of names without a record. Names that this daemon does not create are ignored. */
export function straysOf(
  host: ResourceHost,
  names: readonly string[],
  owned: OwnedNames,
): readonly ResourceOwner[] {
  return [...new Set(names)]
    .filter((name) => !owned.has(name))
    .map(parseVmId)
    .filter((id) => id !== undefined)
    .map((id) => ({ host, vm: vmPaths(host.stateDir, id), sandbox: pathsOfName(host.stateDir, id) }));
}

/** Names in a directory; none when it does not exist. */
export const namesIn = async (directory: string): Promise<readonly string[]> =>
  await readdir(directory).catch(() => []);
