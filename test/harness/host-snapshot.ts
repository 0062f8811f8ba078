/**
 * The resources of a node on its host and in its store. They must be the same before and after an operation that leaves no trace.
 */
import { createHash } from "node:crypto";
import { globSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { machinesOf } from "./machines.ts";

/**
 * Sorted names of: processes of sandboxes, with their open files and sockets; mounts below the state directory; its network
 * devices and control groups; all files below it, with their size unless they are logs or the database; and rows of sandboxes and
 * of operations in progress.
 */
export function hostSnapshot(stateDirectory: string): string[] {
  return [
    ...machinesOf(stateDirectory).flatMap((pid) => [`process ${pid}`, ...openFiles(pid, stateDirectory)]),
    ...mounts(stateDirectory),
    ...netdevs(stateDirectory),
    ...controlGroups(stateDirectory),
    ...files(stateDirectory),
    ...rows(stateDirectory),
  ].sort();
}

/** The prefix of a daemon's control groups and devices. */
const markOf = (stateDirectory: string) =>
  createHash("sha256").update(stateDirectory).digest("hex").slice(0, 8);

function openFiles(pid: string, stateDirectory: string): string[] {
  const directory = `/proc/${pid}/fd`;
  const names = readdirSync(directory).flatMap((fd) => {
    try {
      return readlinkSync(join(directory, fd));
    } catch {
      // It has been closed.
      return [];
    }
  });
  const held = names.filter((name) => name.startsWith(stateDirectory));
  return [...new Set(held)].map((name) => `process ${pid} holds ${name}`);
}

function mounts(stateDirectory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${stateDirectory}/`))
    .map((path) => `mount ${path}`);
}

/** Only devices with the mark in their name or alias: other nodes create and delete theirs. */
function netdevs(stateDirectory: string): string[] {
  const mark = markOf(stateDirectory);
  return readdirSync("/sys/class/net")
    .filter((name) => {
      try {
        return `${name} ${readFileSync(`/sys/class/net/${name}/ifalias`, "utf8")}`.includes(mark);
      } catch {
        return false;
      }
    })
    .map((name) => `netdev ${name}`);
}

function controlGroups(stateDirectory: string): string[] {
  return globSync(`/sys/fs/cgroup/**/paddock/${markOf(stateDirectory)}-*/**`)
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory())
    .map((path) => `cgroup ${path}`);
}

function files(stateDirectory: string): string[] {
  return readdirSync(stateDirectory, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(stateDirectory.length + 1);
    const sized = entry.isFile() && !/(^|\/)(node|lock)\.db|\/logs\//.test(name);
    return sized ? `file ${name} of ${statSync(path).size} bytes` : `file ${name}`;
  });
}

function rows(stateDirectory: string): string[] {
  using database = new DatabaseSync(join(stateDirectory, "node.db"), { readOnly: true });
  return [
    ...database.prepare("SELECT 'record ' || id AS name FROM sandbox").all(),
    ...database
      .prepare(
        `SELECT 'operation of ' || sandbox.id || ' ' || json_extract(value, '$.kind') AS name
          FROM sandbox, json_each(record, '$.operations')`,
      )
      .all(),
  ].map(({ name }) => String(name));
}
