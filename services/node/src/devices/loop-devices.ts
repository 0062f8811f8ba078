/** The loop devices of the host, through losetup. */
import { spawn } from "node:child_process";
import type { FileHandle } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";

const TIMEOUT_MS = 10_000;
const MAX_OUTPUT = 1024 * 1024;
const COLUMNS = "NAME,BACK-MAJ:MIN,BACK-INO,RO";

/** A loop device and the file behind it. */
type LoopDevice = {
  /** Path of its device file. */
  readonly path: string;
  /** "file MAJOR:MINOR INODE". */
  readonly identity: string;
  readonly readOnly: boolean;
};

/** All loop devices with a file. */
export async function listLoops(): Promise<readonly LoopDevice[]> {
  const text = await runTool("losetup", ["--list", "--raw", "--noheadings", "--output", COLUMNS]);
  return text.split("\n").flatMap((line) => {
    // losetup pads the number, and writes the blanks of a value as \x20.
    const [path, number, inode, ro] = line.replaceAll("\\x20", "").trim().split(/\s+/);
    if (path === undefined || inode === undefined) return [];
    return [{ path, identity: `file ${number} ${inode}`, readOnly: ro === "1" }];
  });
}

/**
 * Attaches a file to a free loop device, and returns the device's path. losetup opens the path of the descriptor again, so the
 * result is compared with `identity`. Throws HOST_REFUSED.
 */
export async function attachLoop(file: FileHandle, identity: string, readOnly: boolean): Promise<string> {
  const flags = ["--show", "--find", "--direct-io=on", ...(readOnly ? ["--read-only"] : [])];
  const path = (await runTool("losetup", [...flags, "/proc/self/fd/3"], file.fd)).trim();
  const attached = (await listLoops()).find((each) => each.path === path);
  if (attached?.identity === identity) return path;
  await detachLoop(path);
  throw new PaddockError("HOST_REFUSED", "the file was replaced while it was attached");
}

/** Detaches a loop device. The kernel does so when the last process closes it. Succeeds if it has no file. */
export async function detachLoop(path: string): Promise<void> {
  await runTool("losetup", ["--detach", path]).catch(async (error: unknown) => {
    if ((await listLoops()).some((each) => each.path === path)) throw error;
  });
}

/** Runs a tool of the host. A descriptor is inherited as number 3. Throws HOST_REFUSED with its output. */
export async function runTool(tool: string, args: readonly string[], fd?: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(tool, args, {
    stdio: ["ignore", "pipe", "pipe", ...(fd === undefined ? [] : [fd])],
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      output[name] = (output[name] + text).slice(0, MAX_OUTPUT);
    });
  const refuse = (why: string, cause?: unknown) =>
    reject(
      new PaddockError("HOST_REFUSED", `${tool} failed: ${why}`, {
        hint: "image files as devices need losetup, mknod and the kernel's loop devices on the node",
        cause,
      }),
    );
  child.on("error", (error) => refuse(error.message, error));
  child.on("close", (code) =>
    code === 0 ? resolve(output.stdout) : refuse(output.stderr.trim().slice(0, 500) || `exit code ${code}`),
  );
  return await promise;
}
