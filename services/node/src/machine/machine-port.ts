/**
 * What a sandbox needs of a virtual machine. `qemu-machine.ts` is the real one; tests have one of their own.
 */

import type { SandboxPaths } from "../sandboxes/sandbox-paths.ts";
import type { MachineIdentity } from "../sandboxes/sandbox-record.ts";

/** A raw file that the VM opens as its own user. */
export type MachineDisk = {
  /** Names it in the VM: a letter, then at most 30 letters, digits, dots, dashes and underscores. */
  readonly id: string;
  readonly path: string;
  readonly readOnly: boolean;
  /** SCSI target, 0 to 255, by which the guest finds it. */
  readonly target: number;
};

export type MachineRequest = {
  /** Shown in the process list. */
  readonly name: string;
  readonly paths: SandboxPaths;
  /** User and group of the VM's process. */
  readonly uid: number;
  readonly vcpus: number;
  readonly maxVcpus: number;
  readonly memoryBytes: number;
  /** Words that place the process in its cgroup, put before all others. */
  readonly placement: readonly string[];
  /** Disks that are there from the start. */
  readonly disks: readonly MachineDisk[];
};

/** Why a machine is no more, as far as it was seen. */
export type MachineEnd = {
  readonly cause: "vm_lost" | "host_oom" | "guest_panic" | "guest_shutdown";
  /** What was seen: exit, last lines of the serial console. Printable, at most 8 KiB. */
  readonly evidence: string;
};

export interface Machine {
  readonly identity: MachineIdentity;
  /** Settles once, when the machine does nothing more; never rejects. Its process may linger until `kill`. */
  readonly ended: Promise<MachineEnd>;
  attachDisk(disk: MachineDisk, signal: AbortSignal): Promise<void>;
  /** Succeeds when there is no such disk. */
  detachDisk(id: string, signal: AbortSignal): Promise<void>;
  pause(signal: AbortSignal): Promise<void>;
  resume(signal: AbortSignal): Promise<void>;
  /** The last of what its serial console said, printable, at most 8 KiB; empty when it cannot be asked. */
  serialTail(): Promise<string>;
  /** Ends its process and waits until it is gone. Succeeds when it is gone already. */
  kill(signal: AbortSignal): Promise<void>;
  /** Lets go of it and leaves it running. */
  release(): void;
}

export interface MachineHost {
  /** Starts a machine. On failure no process is left. */
  start(request: MachineRequest, signal: AbortSignal): Promise<Machine>;
  /** Takes over a machine that an earlier daemon started; undefined when that process is gone or another one. */
  adopt(
    identity: MachineIdentity,
    request: Pick<MachineRequest, "name" | "paths">,
    signal: AbortSignal,
  ): Promise<Machine | undefined>;
  /** Ends whatever process was started for these paths, known or not, and waits until it is gone. */
  killStrays(paths: SandboxPaths, signal: AbortSignal): Promise<void>;
  /** Directories of sandboxes that some machine's process runs for. */
  running(): Promise<readonly string[]>;
}

export type CgroupFigures = {
  readonly cpuUs: bigint;
  readonly memoryBytes: number;
  readonly threads: number;
};

/** The part of the host that is set aside for one sandbox. */
export interface SandboxCgroups {
  create(name: string, limits: { readonly memoryBytes: number }): Promise<void>;
  /** Words to put before a command, so that its process is in the cgroup before it executes. */
  placement(name: string): readonly string[];
  /** OOM kills of the host in it. */
  oomKills(name: string): Promise<number>;
  /** What its processes have used, as the host's kernel counts it; a figure the host does not count is 0. */
  usage(name: string): Promise<CgroupFigures>;
  /** Succeeds when there is none. */
  remove(name: string, signal: AbortSignal): Promise<void>;
  /** Names of all that exist. */
  list(): Promise<readonly string[]>;
}
