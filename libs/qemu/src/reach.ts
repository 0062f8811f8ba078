/**
 * Checks which paths QEMU's user can reach, by trying as that user. Modes are not enough: there are access lists, mounts and symlinks.
 */
import { execFile } from "node:child_process";
import { realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { type Privileges, privilegePrefix } from "./privileges.ts";

const TIMEOUT_MS = 10_000;

/** Prints the first directory that cannot be entered, or the file that cannot be opened. */
const SCRIPT = `
file=$1; shift
for directory; do (cd "$directory") 2>/dev/null || { printf %s "$directory"; exit 0; }; done
[ -d "$file" ] || (: <"$file") 2>/dev/null || printf %s "$file"`;

/**
 * The first directory on the way to `path` that QEMU's user cannot enter, or `path` itself when the user cannot read the file or
 * enter the directory. Undefined when the path is reachable. Throws when `path` does not exist or the check cannot run.
 */
export async function firstUnreachable(path: string, privileges: Privileges): Promise<string | undefined> {
  const real = await realpath(path);
  const above: string[] = [];
  for (let each = dirname(real); !above.includes(each); each = dirname(each)) above.unshift(each);
  const isDirectory = path.endsWith("/");
  const words = ["sh", "-c", SCRIPT, "paddock-reach", real, ...above, ...(isDirectory ? [real] : [])];
  const [command = "sh", ...args] = [...privilegePrefix(privileges), ...words];
  const options = { timeout: TIMEOUT_MS, cwd: "/", env: { PATH: process.env.PATH } };
  const { stdout } = await promisify(execFile)(command, args, options);
  return stdout === "" ? undefined : stdout;
}
