/**
 * Finds the leftovers of a test run on the machine.
 *
 * A run has its own temporary directory, which is in the command line, environment or working directory of everything that a test
 * starts. So the owner of a process or a mount is known even if it has its own session and its parent has ended, as a VM by
 * design. Control groups, links and firewall tables do not have the directory: they are compared with a list from before the run.
 * A control group that has only processes of other runs belongs to those.
 */

import { execFileSync } from "node:child_process";
import { existsSync, globSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

interface Leftover {
  readonly what: "process" | "mount" | "loop device" | "file" | "control group" | "link" | "firewall table";
  readonly name: string;
  readonly pid?: number;
}

const OURS = /(?:^|\/)paddock[^/]*\/./;
const LINK_OF_OURS = /^(?:paddock|pdk?)[-.\d]/;

/** Things without a mark of their owner, which are listed before and after the run. */
function unsignedThings(): Leftover[] {
  const groups = globSync("/sys/fs/cgroup/**/", { exclude: (name) => name === "system.slice" })
    .filter((path) => OURS.test(path))
    .map((name): Leftover => ({ what: "control group", name }));
  const links = readdirSync("/sys/class/net")
    .filter((name) => LINK_OF_OURS.test(name))
    .map((name): Leftover => ({ what: "link", name }));
  return [...groups, ...links, ...firewallTables()];
}

function firewallTables(): Leftover[] {
  try {
    return execFileSync("nft", ["list", "tables"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .split("\n")
      .filter((line) => line.includes("paddock"))
      .map((line) => ({ what: "firewall table", name: line.replace(/^table /, "") }));
  } catch {
    return []; // Without nft or the right to list tables, none can have been added.
  }
}

/** Things that have `runDirectory` in a name or path. */
function signedThings(runDirectory: string): Leftover[] {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${runDirectory}/`))
    .map((name): Leftover => ({ what: "mount", name }));
  const loops = globSync("/sys/block/loop*/loop/backing_file")
    .map((path) => readOr(path, "").trim())
    .filter((path) => path.startsWith(`${runDirectory}/`))
    .map((name): Leftover => ({ what: "loop device", name }));
  const files = readdirSync(runDirectory)
    .filter((name) => name !== "node-compile-cache")
    .map((name): Leftover => ({ what: "file", name: join(runDirectory, name) }));
  return [...processesOf(runDirectory), ...mounts, ...loops, ...files];
}

function processesOf(runDirectory: string): Leftover[] {
  const ancestors = ancestorsOf(process.pid);
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && !ancestors.has(Number(name)))
    .filter((pid) => carries(pid, runDirectory))
    .map((pid) => {
      const command = readOr(`/proc/${pid}/cmdline`, "").replaceAll("\0", " ").trim();
      return { what: "process", name: `${pid} ${command.slice(0, 160)}`, pid: Number(pid) };
    });
}

function carries(pid: string, runDirectory: string): boolean {
  const traces = [
    readOr(`/proc/${pid}/cmdline`, ""),
    readOr(`/proc/${pid}/environ`, ""),
    workingDirectory(pid),
  ];
  return traces.some((trace) => trace.includes(runDirectory));
}

/** Whether a control group is of a VM that has processes, and none of this run. The owner of an empty one is unknown. */
function isOfOthers({ what, name }: Leftover, runDirectory: string): boolean {
  if (what !== "control group") return false;
  const [group] = /^.*?\/paddock[^/]*\/[^/]+/.exec(name) ?? [name];
  const pids = globSync(`${group}/**/cgroup.procs`).flatMap((file) => readOr(file, "").match(/\d+/g) ?? []);
  return pids.length > 0 && !pids.some((pid) => carries(pid, runDirectory));
}

function ancestorsOf(pid: number): Set<number> {
  const found = new Set<number>();
  for (let at = pid; at > 0 && !found.has(at); ) {
    found.add(at);
    at = Number(/^PPid:\s*(\d+)/m.exec(readOr(`/proc/${at}/status`, ""))?.[1] ?? 0);
  }
  return found;
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise; // It has ended.
  }
}

function workingDirectory(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

/** The things that exist now and must not. */
export function leftBehind(runDirectory: string, before: readonly string[]): Leftover[] {
  const known = new Set(before);
  const fresh = unsignedThings().filter((thing) => !known.has(describe(thing)));
  return [...signedThings(runDirectory), ...fresh.filter((thing) => !isOfOthers(thing, runDirectory))];
}

/** The lines that `leftBehind` takes after the run. */
export function listBefore(): string[] {
  return unsignedThings().map(describe);
}

function describe({ what, name }: Leftover): string {
  return `${what}: ${name}`;
}

/**
 * The things that are found every time within 5 s: processes need a moment to end, and things that appear only after the run do
 * not belong to it.
 */
async function settled(runDirectory: string, before: readonly string[]): Promise<Leftover[]> {
  const deadline = Date.now() + 5_000;
  let things = leftBehind(runDirectory, before);
  while (things.length > 0 && Date.now() < deadline) {
    await delay(100);
    const now = new Set(leftBehind(runDirectory, before).map(describe));
    things = things.filter((thing) => now.has(describe(thing)));
  }
  return things;
}

async function main([command, listing = "", runDirectory = ""]: string[]): Promise<number> {
  if (command === "before") {
    writeFileSync(listing, listBefore().join("\n"));
    return 0;
  }
  const before = existsSync(listing) ? readFileSync(listing, "utf8").split("\n") : [];
  const things = await settled(runDirectory, before);
  for (const thing of things) console.log(`left behind: ${describe(thing)}`);
  for (const { pid } of things) if (pid !== undefined) endProcess(pid);
  return things.length === 0 ? 0 : 1;
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
