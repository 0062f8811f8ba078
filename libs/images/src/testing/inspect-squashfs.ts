/** Lists and reads a squashfs file with unsquashfs. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** `mode owner/group path [-> target]` of every node except the root, in byte order. */
export async function listSquashfs(path: string): Promise<string[]> {
  const { stdout } = await run("unsquashfs", ["-lln", path], { maxBuffer: 64 * 1024 ** 2 });
  return stdout
    .split("\n")
    .flatMap((line) => {
      const match = /^(\S+) (\S+) +\d+ \S+ \S+ squashfs-root\/(.*)$/.exec(line);
      return match === null ? [] : [`${match[1]} ${match[2]} ${match[3]}`];
    })
    .sort();
}

/** The sorted paths of a squashfs file. */
export async function pathsOf(path: string): Promise<string[]> {
  return (await listSquashfs(path)).map((line) => line.split(" ")[2] ?? "").sort();
}

export async function catSquashfs(path: string, file: string): Promise<string> {
  const { stdout } = await run("unsquashfs", ["-cat", path, file], { encoding: "latin1" });
  return stdout;
}
