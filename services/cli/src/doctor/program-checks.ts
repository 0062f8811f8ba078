/** Checks of the programs that the daemons run. */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { checkQemu, QemuError } from "@paddock/qemu";
import type { HostCheck } from "./host-check.ts";

/** Directories of system programs, which may not be in PATH. */
const EXTRA_DIRECTORIES = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

const PACKAGES = {
  setpriv: { package: "util-linux", purpose: "drops QEMU's privileges" },
  prlimit: { package: "util-linux", purpose: "limits QEMU's resources" },
  sqfstar: { package: "squashfs-tools", purpose: "builds file systems from images" },
  mke2fs: { package: "e2fsprogs", purpose: "creates writable layers" },
} as const;

type Program = keyof typeof PACKAGES;

async function pathOf(program: string): Promise<string | undefined> {
  for (const directory of [...(process.env.PATH ?? "").split(delimiter), ...EXTRA_DIRECTORIES]) {
    const path = join(directory, program);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not in this directory.
    }
  }
  return undefined;
}

const install = (packageName: string): string => `apt-get install ${packageName}, or run deploy/setup.sh`;

export const programCheck = (program: Program): HostCheck => ({
  name: program,
  run: async () => {
    const path = await pathOf(program);
    const { package: packageName, purpose } = PACKAGES[program];
    if (path) return { verdict: "ok", found: path };
    return { verdict: "missing", found: `not found; it ${purpose}`, fix: install(packageName) };
  },
});

export const qemuCheck: HostCheck = {
  name: "QEMU",
  run: async () => {
    try {
      const { major, minor, micro, packaged } = await checkQemu("qemu-system-x86_64");
      return { verdict: "ok", found: `${major}.${minor}.${micro}${packaged ? ` (Debian ${packaged})` : ""}` };
    } catch (error) {
      if (!(error instanceof QemuError)) throw error;
      return { verdict: "missing", found: error.message, fix: install("qemu-system-x86") };
    }
  },
};

export const natsCheck: HostCheck = {
  name: "nats-server",
  run: async () => {
    const path = await pathOf("nats-server");
    if (!path)
      return {
        verdict: "missing",
        found: "not found; it carries commands to nodes",
        fix: install("nats-server"),
      };
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: 10_000 });
    return { verdict: "ok", found: stdout.trim().replace(/^nats-server: /, "") };
  },
};
