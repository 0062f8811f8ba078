/**
 * Where a sandbox keeps its things, all of it from its id.
 *
 *     <state>/sandboxes/<hash>/          root, 0711: others may pass, not look
 *         sandbox-id                     the id, for people
 *         <index>.new                    a writable layer that is being made
 *         vm/                            root, the VM's group, 0710: QEMU reaches its files and can change no name
 *             qmp.sock agent.sock tty.sock   root; QEMU is given them as descriptors
 *             <index>.ext4               writable layers; the VM's user, 0600
 *         logs/                          root, 0700
 *
 * A path of a unix socket holds 107 characters, an id up to 128: so the directory is named by the first 16 hex digits of
 * the id's SHA-256. The store refuses a second sandbox with the same hash.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";

export type SandboxPaths = {
  /** 16 hex digits; also names the cgroup. */
  readonly name: string;
  readonly dir: string;
  readonly idFile: string;
  readonly vmDir: string;
  readonly qmpSocket: string;
  readonly agentSocket: string;
  /** What the guest's serial console says. */
  readonly serialSocket: string;
  readonly logDir: string;
};

/** The name of a sandbox's host resources. */
export const hostName = (sandboxId: string): string =>
  createHash("sha256").update(sandboxId).digest("hex").slice(0, 16);

/** The directory that holds all sandboxes of a state directory. */
export const sandboxesDir = (stateDir: string): string => join(stateDir, "sandboxes");

/** The paths of a sandbox. */
export function sandboxPaths(stateDir: string, sandboxId: string): SandboxPaths {
  return pathsOfName(stateDir, hostName(sandboxId));
}

/** The paths of a sandbox of which only the name is known, for the sweep. */
export function pathsOfName(stateDir: string, name: string): SandboxPaths {
  const dir = join(sandboxesDir(stateDir), name);
  const vmDir = join(dir, "vm");
  return {
    name,
    dir,
    idFile: join(dir, "sandbox-id"),
    vmDir,
    qmpSocket: join(vmDir, "qmp.sock"),
    agentSocket: join(vmDir, "agent.sock"),
    serialSocket: join(vmDir, "tty.sock"),
    logDir: join(dir, "logs"),
  };
}

/** A container's writable layer; in the VM's directory, as the VM opens it. */
export const writableLayerPath = (paths: SandboxPaths, index: number): string =>
  join(paths.vmDir, `${index}.ext4`);

/** That, and where the daemon makes it: in a directory that no VM may write in. */
export const layerPlace = (paths: SandboxPaths, index: number) => ({
  path: writableLayerPath(paths, index),
  aside: join(paths.dir, `${index}.new`),
});
