/** Checks of the host itself. */
import { existsSync } from "node:fs";
import { readFile, realpath, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { readHierarchy } from "@paddock/cgroups";
import { firstUnreachable, proveGuest, readHostFacts } from "@paddock/qemu";
import { REPOSITORY } from "../installation.ts";
import { formatBytes } from "../output/quantities.ts";
import { type Found, type HostCheck, missing, ok, warning } from "./host-check.ts";

const GIB = 1024 ** 3;
const KVM_PROOF_MS = 8_000;
/** An unprivileged user. The daemon's VMs have their own users, by default from this id on. */
const PROOF_USER = { uid: 700_000, gid: 700_000 };

export const guestDirectory = (env: Readonly<Record<string, string | undefined>>): string =>
  env.PADDOCK_GUEST_DIR ?? resolve(REPOSITORY, "deploy/guest/out");

export const rootCheck: HostCheck = {
  name: "root",
  run: async () =>
    isRoot()
      ? ok("yes")
      : missing("no; the node daemon gives each VM a user and a control group", "use sudo"),
};

const isRoot = (): boolean => process.getuid?.() === 0;

/** Boots a guest, because opening the device does not prove that KVM works. */
export const kvmCheck = (guestDir: string): HostCheck => ({
  name: "KVM",
  run: async () => {
    const { kvm } = await readHostFacts();
    if (kvm === "absent")
      return byEmulation(
        "/dev/kvm does not exist",
        "enable virtualization in the firmware or for the cloud instance",
      );
    if (kvm === "denied") return byEmulation("/dev/kvm cannot be opened", "use sudo");
    const kernel = join(guestDir, "vmlinuz");
    if (!existsSync(kernel))
      return byEmulation("not tried, because there is no guest kernel", "run deploy/setup.sh");
    return provenKvm(kernel);
  },
});

const byEmulation = (found: string, fix: string): Found =>
  warning(`${found}; VMs use emulation, which is slower, and for which QEMU promises no isolation`, fix);

async function provenKvm(kernel: string): Promise<Found> {
  const { gid } = await stat("/dev/kvm");
  const options = {
    accelerator: "kvm",
    binary: "qemu-system-x86_64",
    kernel,
    privileges: isRoot() ? { user: { ...PROOF_USER, groups: [gid] } } : {},
    deadlineMs: KVM_PROOF_MS,
  } as const;
  let why = "";
  for (const cpuModel of ["host", "host,arch-capabilities=off"]) {
    const proof = await proveGuest({ ...options, cpuModel });
    if (proof.kind === "proven") return ok(`a guest ran on it in ${proof.elapsedMs} ms`);
    why = proof.why;
    if (proof.kind === "stuck") break;
  }
  return byEmulation(
    `no guest ran on it: ${why.slice(0, 200)}`,
    "check nested virtualization and the permissions of /dev/kvm",
  );
}

export const cgroupCheck: HostCheck = {
  name: "control groups",
  run: async () => {
    const { layout, v1, v2 } = await readHierarchy();
    if (layout === "v2" && v2) {
      const listed = await readFile(join(v2.mountPoint, "cgroup.controllers"), "utf8");
      const controllers = listed.trim().split(" ");
      const lacking = ["cpu", "cpuset", "memory", "pids"].filter((each) => !controllers.includes(each));
      if (lacking.length === 0) return ok(`v2 at ${v2.mountPoint}`);
      return missing(`v2 without ${lacking.join(", ")}`, "delegate these controllers");
    }
    const lacking = (["cpu", "cpuacct", "cpuset", "memory", "pids"] as const).filter((each) => !v1.has(each));
    if (lacking.length === 0) return ok(`${layout}, with cpu, cpuset, memory and pids`);
    return missing(`${layout} without ${lacking.join(", ")}`, "mount these controllers");
  },
};

/** sun_path is 108 bytes with its terminator (unix(7)). The state directory is followed by the VM's directory and its socket. */
const MAX_STATE_PATH_BYTES = 107 - Buffer.byteLength(`/node/vms/${"0".repeat(16)}/agent.sock`);

/** Whether QEMU's user, which has no privileges, can reach its files below the state directory. */
export const stateCheck = (stateDir: string): HostCheck => ({
  name: "state",
  run: async () => {
    const fix = "choose another --state-dir or PADDOCK_STATE_DIR";
    if (Buffer.byteLength(stateDir) > MAX_STATE_PATH_BYTES)
      return missing(
        `${stateDir} has more than ${MAX_STATE_PATH_BYTES} bytes: the paths of sockets below it are too long`,
        fix.replace("another", "a shorter"),
      );
    if (!isRoot()) return warning("not tried", "use sudo");
    const directory = existingAt(stateDir);
    const found = await firstUnreachable(`${directory}/`, { user: { ...PROOF_USER, groups: [] } });
    // The daemon sets the mode of its own directory, not of its parents.
    if (found === undefined || found === (await realpath(stateDir).catch(() => stateDir)))
      return ok(`QEMU's user can enter ${directory}`);
    return missing(
      `QEMU's user (uid ${PROOF_USER.uid}) cannot enter ${found}`,
      `chmod o+x ${found}, or ${fix}`,
    );
  },
});

/** The directory, or its nearest existing parent. */
const existingAt = (directory: string): string =>
  existsSync(directory) ? directory : existingAt(dirname(directory));

export const diskCheck = (stateDir: string): HostCheck => ({
  name: "disk space",
  run: async () => {
    const directory = existingAt(stateDir);
    const { bavail, bsize } = await statfs(directory);
    const free = bavail * bsize;
    const found = `${formatBytes(free)} free in ${directory}`;
    if (free >= 4 * GIB) return ok(found);
    return (free >= GIB ? warning : missing)(found, "free some space, or choose another --state-dir");
  },
});

export const memoryCheck: HostCheck = {
  name: "memory",
  run: async () => {
    const meminfo = await readFile("/proc/meminfo", "utf8");
    const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0) * 1024;
    const found = `${formatBytes(available)} available`;
    if (available >= GIB) return ok(found);
    return (available >= GIB / 2 ? warning : missing)(found, "a VM takes 256 MiB and the overhead of QEMU");
  },
};

export const guestCheck = (guestDir: string): HostCheck => ({
  name: "guest kernel",
  run: async () => {
    try {
      const manifest = JSON.parse(await readFile(join(guestDir, "manifest.json"), "utf8"));
      return ok(`${manifest.kernelRelease} in ${guestDir}`);
    } catch {
      return missing(`none in ${guestDir}`, "run deploy/setup.sh");
    }
  },
});
