/**
 * Paths of a sandbox's files that outlive its VM. All paths follow from the id of the sandbox.
 *
 *     <state>/sandboxes/<hash>/    root, 0700
 *         sandbox-id               the id, for operators
 *         logs/                    output of the containers' inits
 *
 * An id has up to 128 characters and case matters in it, so the directory is named by the first 16 hexadecimal digits of the
 * SHA-256 of the id. The registry refuses a second sandbox with the same hash.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";

export type SandboxPaths = {
  readonly dir: string;
  readonly idFile: string;
  readonly logDir: string;
};

/** The name of a sandbox's directory. */
export const hostName = (sandboxId: string): string =>
  createHash("sha256").update(sandboxId).digest("hex").slice(0, 16);

/** The directory that holds the sandboxes of a state directory. */
export const sandboxesDir = (stateDir: string): string => join(stateDir, "sandboxes");

/** The paths of a sandbox. */
export const sandboxPaths = (stateDir: string, sandboxId: string): SandboxPaths =>
  pathsOfName(stateDir, hostName(sandboxId));

/** The paths of a sandbox, from its directory's name alone. */
export function pathsOfName(stateDir: string, name: string): SandboxPaths {
  const dir = join(sandboxesDir(stateDir), name);
  return { dir, idFile: join(dir, "sandbox-id"), logDir: join(dir, "logs") };
}
