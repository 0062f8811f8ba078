/**
 * A VM that runs unit tests of this repository on a cgroup layout that the host does not have.
 *
 * Its root is an initramfs with Node.js, a shell, a few coreutils and the sources. It has no disk, no modules and no agent. The
 * result is the output of its serial console.
 */
import { execFileSync } from "node:child_process";
import { globSync, readFileSync, realpathSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import { type ArchiveEntry, newcArchive } from "../../deploy/guest/newc-archive.ts";
import { runBareGuest } from "./bare-guest.ts";

const ROOT = join(import.meta.dirname, "../..");
const PROGRAMS = ["sh", "mount", "cat", "sleep", "printf", "ln", "mkdir", "echo"];

/** A program and its libraries, by path in the guest. */
function programFiles(name: string, path: string): Map<string, string> {
  const libraries = execFileSync("ldd", [path], { encoding: "utf8" });
  const files = new Map([[`bin/${name}`, realpathSync(path)]]);
  for (const [, library = ""] of libraries.matchAll(/(\/\S+) \(0x/g))
    files.set(library.slice(1), realpathSync(library));
  return files;
}

/** Types are stripped on the host. In an emulated guest that would take as long as the tests. */
function sourceOf(path: string): Buffer {
  if (!/\.(ts|json)$/.test(path)) return readFileSync(path);
  const text = readFileSync(path, "utf8");
  return Buffer.from(path.endsWith(".json") ? asScript(text) : asScript(stripTypeScriptTypes(text)));
}

/** Replaces the paths of source files in `text` with those of the stripped files. */
const asScript = (text: string): string => text.replaceAll(/\.ts(?=$|")/gm, ".js");

function initramfs(init: string): Buffer {
  const files = new Map([
    ...PROGRAMS.flatMap((name) => [...programFiles(name, realpathSync(`/bin/${name}`))]),
    ...programFiles("node", realpathSync(join(ROOT, "node_modules/.bin/node"))),
    ...globSync(
      [
        "libs/cgroups/package.json",
        "libs/cgroups/src/*.ts",
        "services/node/package.json",
        "services/node/src/vm/vm-cgroups*.ts",
      ],
      { cwd: ROOT },
    ).map((path) => [`src/${asScript(path)}`, join(ROOT, path)] as const),
  ]);
  const directories = new Set(["dev", "proc", "sys", "tmp", "src/node_modules/@paddock"]);
  for (const path of [...files.keys(), ...directories])
    for (let above = dirname(path); above !== "."; above = dirname(above)) directories.add(above);
  const entries: ArchiveEntry[] = [
    ...[...directories].map((path) => ({ kind: "directory" as const, path, mode: 0o755 })),
    { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "file", path: "init", mode: 0o755, data: Buffer.from(init) },
    ...[...files].map(([path, source]) => ({
      kind: "file" as const,
      path,
      mode: 0o755,
      data: sourceOf(source),
    })),
  ];
  return newcArchive(entries);
}

function initScript(lines: readonly string[], tests: readonly string[]): string {
  return [
    "#!/bin/sh",
    "export PATH=/bin HOME=/tmp",
    "mount -t proc proc /proc",
    "mount -t sysfs sysfs /sys",
    "mount -t devtmpfs devtmpfs /dev",
    "mount -t tmpfs tmpfs /sys/fs/cgroup",
    "ln -s /src/libs/cgroups /src/node_modules/@paddock/cgroups",
    ...lines,
    "cd /src",
    "outside > /tmp/before",
    `node --test --test-isolation=none --test-reporter=tap ${tests.map(asScript).join(" ")} && echo TESTS-PASSED`,
    "echo BEFORE; cat /tmp/before; echo AFTER; outside; echo END",
    // A reset would lose unsent output of the serial port. So the host ends the VM when it has read END.
    "exec sleep infinity",
    "",
  ].join("\n");
}

export interface LayoutGuest {
  /** Shell lines that mount the cgroups, and define `outside`, which prints the parts that must not change. */
  readonly prepare: readonly string[];
  /** Test files, relative to the repository. */
  readonly tests: readonly string[];
}

/** Runs the tests in a new VM, and returns the output of its serial console. `scratch` is a directory for the VM's files. */
export const runInLayoutGuest = (guest: LayoutGuest, scratch: string): Promise<string> =>
  runBareGuest(initramfs(initScript(guest.prepare, guest.tests)), scratch);
