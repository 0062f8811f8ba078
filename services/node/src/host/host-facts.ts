import { readFileSync, statSync } from "node:fs";
import type { Amount } from "@paddock/domain";
import { Isolation } from "@paddock/protocol";
import { type AcceleratorChoice, checkQemu, chooseAccelerator, readHostFacts } from "@paddock/qemu";
import type { NodeConfig } from "../config.ts";
import { totalBytes } from "./disk-space.ts";
import { type GuestFiles, installGuestFiles } from "./guest-files.ts";
import { requireReachable, requireShortPath } from "./state-place.ts";

/** Facts of this host, determined once at the start. */
export type Host = {
  readonly guest: GuestFiles;
  readonly accelerator: AcceleratorChoice;
  readonly isolation: Isolation;
  readonly qemuVersion: string;
  /** Groups that QEMU's user needs in addition to its own. */
  readonly groups: readonly number[];
  /** Resources that sandboxes may allocate. */
  readonly capacity: Amount;
  readonly cpus: number;
  /** CPU numbers, such as "0-3". */
  readonly cpuList: string;
};

/**
 * Reads the facts. Throws an Error that names what is missing, or that production mode would have to emulate; UnfitHost when
 * VMs could not work with the state directory.
 */
export async function readHost(config: NodeConfig): Promise<Host> {
  const { cpus, memoryBytes, missingPrograms } = await readHostFacts();
  if (missingPrograms.length > 0) throw new Error(`missing programs: ${missingPrograms.join(", ")}`);
  requireShortPath(config.stateDir);
  const guest = await installGuestFiles(config.guestDir, config.stateDir);
  const groups = kvmGroups();
  const privileges = { user: { uid: config.vmUidBase, gid: config.vmUidBase, groups } };
  // Before the KVM proof: an unreadable guest would say nothing about KVM.
  await requireReachable(config.stateDir, guest, privileges);
  const version = await checkQemu(config.qemuBinary);
  const qemuVersion = `${version.major}.${version.minor}.${version.micro}`;
  const accelerator = await chooseAccelerator({
    preference: config.accelerator,
    binary: config.qemuBinary,
    qemuVersion: version.packaged ?? qemuVersion,
    kernel: guest.kernel,
    privileges,
    cacheFile: `${config.stateDir}/accelerator.json`,
  });
  const isolation = accelerator.accelerator === "kvm" ? Isolation.KVM : Isolation.TCG_NO_GUARANTEE;
  if (config.production && isolation !== Isolation.KVM)
    throw new Error(`PADDOCK_PRODUCTION refuses emulation, which does not isolate: ${accelerator.reason}`);
  return {
    guest,
    accelerator,
    isolation,
    qemuVersion,
    groups,
    cpus,
    cpuList: readFileSync("/sys/devices/system/cpu/online", "utf8").trim(),
    capacity: {
      milliCpus: Math.floor(cpus * 1000 * config.cpuOvercommit),
      memoryBytes: Math.max(0, memoryBytes - config.memoryReserveBytes),
      diskBytes: Math.floor((await totalBytes(config.stateDir)) * config.diskOvercommit),
    },
  };
}

/** Id of this boot of the host. */
export const readBootId = (): string => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/** The group of /dev/kvm, unless it is root's group, which would give more rights than KVM. */
function kvmGroups(): number[] {
  const kvm = statSync("/dev/kvm", { throwIfNoEntry: false });
  return kvm === undefined || kvm.gid === 0 ? [] : [kvm.gid];
}
