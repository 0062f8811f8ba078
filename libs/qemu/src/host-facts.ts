/** What this host offers to VMs, as facts for a report. It changes nothing. */
import { constants } from "node:fs";
import { access, readFile, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";

export type DeviceAccess = "read-write" | "denied" | "absent";

export interface HostFacts {
  readonly kvm: DeviceAccess;
  readonly tun: DeviceAccess;
  readonly vhostNet: DeviceAccess;
  /** Hardware virtualization of the CPU, as this kernel reports it. */
  readonly cpuVirtualization: "vmx" | "svm" | "none";
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Programs that this package runs and that are not on the PATH. */
  readonly missingPrograms: readonly string[];
}

const PROGRAMS = ["qemu-system-x86_64", "setpriv", "prlimit"] as const;

/** Access of this process. QEMU's user may have less; only the proof guest shows that. */
async function deviceAccess(path: string): Promise<DeviceAccess> {
  try {
    await stat(path);
  } catch {
    return "absent";
  }
  try {
    await access(path, constants.R_OK | constants.W_OK);
    return "read-write";
  } catch {
    return "denied";
  }
}

async function onPath(program: string, path: string): Promise<boolean> {
  for (const directory of path.split(delimiter)) {
    try {
      await access(join(directory, program), constants.X_OK);
      return true;
    } catch {
      // Try the next directory.
    }
  }
  return false;
}

/** Parses the text of /proc/cpuinfo. */
export function cpuVirtualization(cpuinfo: string): HostFacts["cpuVirtualization"] {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.split(" "));
  if (flags.has("vmx")) return "vmx";
  return flags.has("svm") ? "svm" : "none";
}

export async function readHostFacts(path = process.env.PATH ?? ""): Promise<HostFacts> {
  const [cpuinfo, meminfo] = await Promise.all([
    readFile("/proc/cpuinfo", "utf8"),
    readFile("/proc/meminfo", "utf8"),
  ]);
  const found = await Promise.all(PROGRAMS.map((program) => onPath(program, path)));
  const [kvm, tun, vhostNet] = await Promise.all([
    deviceAccess("/dev/kvm"),
    deviceAccess("/dev/net/tun"),
    deviceAccess("/dev/vhost-net"),
  ]);
  return {
    kvm,
    tun,
    vhostNet,
    cpuVirtualization: cpuVirtualization(cpuinfo),
    cpus: cpuinfo.match(/^processor\s*:/gm)?.length ?? 0,
    memoryBytes: Number(/^MemTotal:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0) * 1024,
    missingPrograms: PROGRAMS.filter((_, index) => found[index] === false),
  };
}
