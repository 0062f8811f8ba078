/** Checks of the programs that the daemons run. */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { checkQemu, QemuError, VIRTIOFSD } from "@paddock/qemu";
import { type HostCheck, missing, ok, warning } from "./host-check.ts";

/** Directories of system programs, which may not be in PATH. */
const EXTRA_DIRECTORIES = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

const PACKAGES = {
  setpriv: { package: "util-linux", purpose: "drops QEMU's privileges" },
  prlimit: { package: "util-linux", purpose: "limits QEMU's resources" },
  sqfstar: { package: "squashfs-tools", purpose: "builds file systems from images" },
  losetup: { package: "mount", purpose: "attaches image files as devices" },
  mke2fs: { package: "e2fsprogs", purpose: "creates writable layers" },
  ip: { package: "iproute2", purpose: "creates the interfaces of sandboxes" },
  bridge: { package: "iproute2", purpose: "connects the interfaces of sandboxes" },
  tc: { package: "iproute2", purpose: "limits the rates of sandboxes" },
  nft: { package: "nftables", purpose: "writes the rules of the network" },
  sysctl: { package: "procps", purpose: "turns forwarding on" },
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
    return path === undefined ? missing(`not found; it ${purpose}`, install(packageName)) : ok(path);
  },
});

export const qemuCheck: HostCheck = {
  name: "QEMU",
  run: async () => {
    try {
      const { major, minor, micro, packaged } = await checkQemu("qemu-system-x86_64");
      return ok(`${major}.${minor}.${micro}${packaged ? ` (Debian ${packaged})` : ""}`);
    } catch (error) {
      if (!(error instanceof QemuError)) throw error;
      return missing(error.message, install("qemu-system-x86"));
    }
  },
};

/** Only sandboxes with host directories need it. */
export const virtiofsdCheck: HostCheck = {
  name: "virtiofsd",
  run: async () => {
    try {
      await access(VIRTIOFSD, constants.X_OK);
      return ok(VIRTIOFSD);
    } catch {
      return warning(`no ${VIRTIOFSD}; it serves directories of the host`, install("qemu-system-common"));
    }
  },
};

export const natsCheck: HostCheck = {
  name: "nats-server",
  run: async () => {
    const path = await pathOf("nats-server");
    if (!path) return missing("not found; it carries commands to nodes", install("nats-server"));
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: 10_000 });
    return ok(stdout.trim().replace(/^nats-server: /, ""));
  },
};
