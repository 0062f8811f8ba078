/** Checks of the host itself. */
import { existsSync, readFileSync } from "node:fs";
import { readFile, realpath, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { readHierarchy } from "@paddock/cgroups";
import { firstUnreachable, proveGuest, readHostFacts } from "@paddock/qemu";
import { formatBytes } from "../output/quantities.ts";
import type { Finding, HostCheck } from "./host-check.ts";

const GIB = 1024 ** 3;
const KVM_PROOF_MS = 8_000;
/** An unprivileged user. The daemon's VMs have users of their own, from this id on by default. */
const PROOF_USER = { uid: 700_000, gid: 700_000 };

export const guestDirectory = (env: Readonly<Record<string, string | undefined>>): string =>
  env.PADDOCK_GUEST_DIR ?? resolve(import.meta.dirname, "../../../../deploy/guest/out");

export const rootCheck: HostCheck = {
  name: "root",
  run: async () =>
    process.getuid?.() === 0
      ? { verdict: "ok", found: "yes" }
      : {
          verdict: "missing",
          found: "no; the node daemon gives each VM a user and a control group",
          fix: "use sudo",
        },
};

/** KVM works only if a guest runs on it: that the device opens proves nothing. */
export const kvmCheck = (guestDir: string): HostCheck => ({
  name: "KVM",
  run: async () => {
    const facts = await readHostFacts();
    const byEmulation = (found: string, fix: string): Omit<Finding, "name"> => ({
      verdict: "warning",
      found: `${found}; VMs run by emulation, slower and without a promise of isolation by QEMU`,
      fix,
    });
    if (facts.kvm === "absent")
      return byEmulation(
        "/dev/kvm does not exist",
        "enable virtualization in the firmware or for the cloud instance",
      );
    if (facts.kvm === "denied") return byEmulation("/dev/kvm cannot be opened", "use sudo");
    const kernel = join(guestDir, "vmlinuz");
    if (!existsSync(kernel))
      return byEmulation("not tried, because there is no guest kernel", "run deploy/setup.sh");
    return provenKvm(kernel, byEmulation);
  },
});

async function provenKvm(
  kernel: string,
  byEmulation: (found: string, fix: string) => Omit<Finding, "name">,
): Promise<Omit<Finding, "name">> {
  const isRoot = process.getuid?.() === 0;
  const { gid } = await stat("/dev/kvm");
  const privileges = isRoot ? { user: { ...PROOF_USER, groups: [gid] } } : {};
  const options = {
    accelerator: "kvm",
    binary: "qemu-system-x86_64",
    kernel,
    privileges,
    deadlineMs: KVM_PROOF_MS,
  } as const;
  let why = "";
  for (const cpuModel of ["host", "host,arch-capabilities=off"]) {
    const proof = await proveGuest({ ...options, cpuModel });
    if (proof.kind === "proven")
      return { verdict: "ok", found: `a guest ran on it in ${proof.elapsedMs} ms` };
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
      const controllers = (await readFile(join(v2.mountPoint, "cgroup.controllers"), "utf8"))
        .trim()
        .split(" ");
      const missing = ["cpu", "cpuset", "memory", "pids"].filter((c) => !controllers.includes(c));
      if (missing.length === 0) return { verdict: "ok", found: `v2 at ${v2.mountPoint}` };
      return {
        verdict: "missing",
        found: `v2 without ${missing.join(", ")}`,
        fix: "delegate these controllers",
      };
    }
    const missing = (["cpu", "cpuacct", "cpuset", "memory", "pids"] as const).filter((c) => !v1.has(c));
    if (missing.length === 0) return { verdict: "ok", found: `${layout}, with cpu, cpuset, memory and pids` };
    return {
      verdict: "missing",
      found: `${layout} without ${missing.join(", ")}`,
      fix: "mount these controllers",
    };
  },
};

/** sun_path is 108 bytes with its terminator (unix(7)); after the state directory come the VM's directory and its socket. */
const MAX_STATE_PATH_BYTES = 107 - Buffer.byteLength(`/node/vms/${"0".repeat(16)}/agent.sock`);

/** Whether QEMU's user, which has no privileges, can reach its files below the state directory. */
export const stateCheck = (stateDir: string): HostCheck => ({
  name: "state",
  run: async () => {
    const fix = "choose another --state-dir or PADDOCK_STATE_DIR";
    if (Buffer.byteLength(stateDir) > MAX_STATE_PATH_BYTES)
      return {
        verdict: "missing",
        found: `${stateDir} has more than ${MAX_STATE_PATH_BYTES} bytes: the paths of sockets below it are too long`,
        fix: fix.replace("another", "a shorter"),
      };
    if (process.getuid?.() !== 0) return { verdict: "warning", found: "not tried", fix: "use sudo" };
    let directory = stateDir;
    while (!existsSync(directory)) directory = dirname(directory);
    const found = await firstUnreachable(`${directory}/`, { user: { ...PROOF_USER, groups: [] } });
    // The daemon sets the mode of its own directory, not of those above.
    if (found === undefined || found === (await realpath(stateDir).catch(() => stateDir)))
      return { verdict: "ok", found: `QEMU's user can enter ${directory}` };
    return {
      verdict: "missing",
      found: `QEMU's user (uid ${PROOF_USER.uid}) cannot enter ${found}`,
      fix: `chmod o+x ${found}, or ${fix}`,
    };
  },
});

export const diskCheck = (stateDir: string): HostCheck => ({
  name: "disk space",
  run: async () => {
    let directory = stateDir;
    while (!existsSync(directory)) directory = dirname(directory);
    const { bavail, bsize } = await statfs(directory);
    const free = bavail * bsize;
    const found = `${formatBytes(free)} free in ${directory}`;
    if (free >= 4 * GIB) return { verdict: "ok", found };
    return {
      verdict: free >= GIB ? "warning" : "missing",
      found,
      fix: "free some space, or choose another --state-dir",
    };
  },
});

export const memoryCheck: HostCheck = {
  name: "memory",
  run: async () => {
    const available =
      Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0) * 1024;
    const found = `${formatBytes(available)} available`;
    if (available >= GIB) return { verdict: "ok", found };
    return {
      verdict: available >= GIB / 2 ? "warning" : "missing",
      found,
      fix: "a VM takes 256 MiB and the overhead of QEMU",
    };
  },
};

export const guestCheck = (guestDir: string): HostCheck => ({
  name: "guest kernel",
  run: async () => {
    try {
      const manifest = JSON.parse(await readFile(join(guestDir, "manifest.json"), "utf8"));
      return { verdict: "ok", found: `${manifest.kernelRelease} in ${guestDir}` };
    } catch {
      return { verdict: "missing", found: `none in ${guestDir}`, fix: "run deploy/setup.sh" };
    }
  },
});
