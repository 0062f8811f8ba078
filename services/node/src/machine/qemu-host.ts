/** Machines as QEMU processes of this host, each with a user of its own. */
import { readdir, readFile, rm } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import {
  type Accelerator,
  type EmulationThreads,
  endProcess,
  identify,
  isAlive,
  kernelCommandLine,
  type MachineSpec,
  Monitor,
  type ProcessIdentity,
  QemuError,
  qemuArguments,
  SerialReader,
  spawnQemu,
  waitForMonitor,
} from "@paddock/qemu";
import { freeBytes } from "../host/disk-space.ts";
import type { GuestFiles } from "../host/guest-files.ts";
import type { SandboxPaths } from "../sandboxes/sandbox-paths.ts";
import type { Machine, MachineHost, MachineRequest, SandboxCgroups } from "./machine-port.ts";
import { diskSpec, QemuMachine } from "./qemu-machine.ts";
import { EVIDENCE_BYTES } from "./serial-text.ts";

export type QemuHostOptions = {
  readonly binary: string;
  readonly accelerator: Accelerator;
  readonly emulationThreads: EmulationThreads;
  /**
   * Who brings and takes vCPUs while a guest runs. By default the guest under emulation: QEMU 7.2 crashes when a vCPU is plugged
   * into a guest that is busy, see the README of libs/qemu.
   */
  readonly vcpuControl?: Machine["vcpuControl"];
  readonly cpuModel: string;
  /** Groups of the VM's user, such as the one that owns /dev/kvm. */
  readonly groups: readonly number[];
  readonly guest: GuestFiles;
  readonly cgroups: SandboxCgroups;
  /** The directory below which all sandboxes of this daemon have theirs. */
  readonly sandboxesDir: string;
};

const AGENT_PORT = "paddock.agent.0";
const SERIAL_RING_BYTES = 64 * 1024;
/** Of each VM, in this process: what is shown, and escape sequences that are not. */
const SERIAL_TAIL_BYTES = 2 * EVIDENCE_BYTES;
const MONITOR_TIMEOUT_MS = 15_000;
const ADOPT_TIMEOUT_MS = 3000;
/** None until interfaces can be plugged in: four root ports cost the guest 0.1 s of its boot under emulation. */
const HOTPLUG_PORTS = 0;

export class QemuHost implements MachineHost {
  readonly #options: QemuHostOptions;

  constructor(options: QemuHostOptions) {
    this.#options = options;
  }

  get #vcpuControl(): Machine["vcpuControl"] {
    return this.#options.vcpuControl ?? (this.#options.accelerator === "kvm" ? "plug" : "guest");
  }

  async start(request: MachineRequest, signal: AbortSignal): Promise<Machine> {
    const { binary, groups, cgroups } = this.#options;
    const qemu = await spawnQemu({
      binary,
      args: qemuArguments(this.#spec(request)),
      privileges: { user: { uid: request.uid, gid: request.uid, groups } },
      prefix: request.placement,
    });
    try {
      const monitor = await waitForMonitor(qemu, {
        path: request.paths.qmpSocket,
        timeoutMs: MONITOR_TIMEOUT_MS,
        signal,
      });
      const hostOomKills = () => cgroups.oomKills(request.paths.name);
      const serial = new SerialReader(request.paths.serialSocket, SERIAL_TAIL_BYTES);
      const parts = {
        identity: qemu.identity,
        monitor,
        vcpuControl: this.#vcpuControl,
        serial,
        hostOomKills,
        freeBytes: () => freeBytes(request.paths.dir),
      };
      return await QemuMachine.of({ ...parts, child: qemu });
    } catch (error) {
      await endProcess(qemu.identity, { graceMs: 0 });
      signal.throwIfAborted();
      throw unavailable(`start the VM ${request.name}`, error);
    }
  }

  async adopt(
    identity: ProcessIdentity,
    { name, paths }: Pick<MachineRequest, "name" | "paths">,
    signal: AbortSignal,
  ): Promise<Machine | undefined> {
    if (!isAlive(identity)) return undefined;
    try {
      const monitor = await Monitor.open({ path: paths.qmpSocket, timeoutMs: ADOPT_TIMEOUT_MS, signal });
      const hostOomKills = () => this.#options.cgroups.oomKills(paths.name);
      // One that an earlier version started has no such socket: its console is then in QEMU alone.
      const serial = new SerialReader(paths.serialSocket, SERIAL_TAIL_BYTES);
      return await QemuMachine.of({
        identity,
        monitor,
        vcpuControl: this.#vcpuControl,
        serial,
        hostOomKills,
        freeBytes: () => freeBytes(paths.dir),
      });
    } catch (error) {
      if (!isAlive(identity)) return undefined;
      throw unavailable(`take over the VM ${name}`, error);
    }
  }

  async killStrays(paths: SandboxPaths, _signal: AbortSignal): Promise<void> {
    const strays = (await this.#processes()).filter(({ dir }) => dir === paths.dir);
    await Promise.all(strays.map(({ identity }) => endProcess(identity, { graceMs: 0 })));
    const sockets = [paths.qmpSocket, paths.agentSocket, paths.serialSocket];
    await Promise.all(sockets.map((path) => rm(path, { force: true })));
  }

  async running(): Promise<readonly string[]> {
    return (await this.#processes()).map(({ dir }) => dir);
  }

  /**
   * Every process whose command line names the monitor socket of a sandbox of this state directory. Recognising them so
   * needs no record: it also finds one that was started just before the daemon died.
   */
  async #processes(): Promise<{ identity: ProcessIdentity; dir: string }[]> {
    const prefix = `${this.#options.sandboxesDir}/`;
    const found: { identity: ProcessIdentity; dir: string }[] = [];
    for (const entry of await readdir("/proc")) {
      if (!/^[0-9]+$/.test(entry)) continue;
      const words = (await readFile(`/proc/${entry}/cmdline`, "utf8").catch(() => "")).split("\0");
      const at = words.findIndex((word) => word.startsWith(`socket,id=qmp0,path=${prefix}`));
      const name = words[at]?.slice(`socket,id=qmp0,path=${prefix}`.length).split("/")[0];
      const identity = identify(Number(entry));
      if (name !== undefined && /^[0-9a-f]{16}$/.test(name) && identity !== undefined)
        found.push({ identity, dir: `${prefix}${name}` });
    }
    return found;
  }

  #spec(request: MachineRequest): MachineSpec {
    const { accelerator, emulationThreads, cpuModel, guest } = this.#options;
    const { vcpus, maxVcpus } = request;
    const areAllThere = this.#vcpuControl === "guest";
    return {
      name: request.name,
      accelerator,
      emulationThreads,
      cpuModel,
      vcpus: areAllThere ? maxVcpus : vcpus,
      maxVcpus,
      memory: {
        bytes: request.memoryBytes,
        maxBytes: request.maxMemoryBytes,
        backing: { kind: "anonymous" },
      },
      kernel: guest.kernel,
      initramfs: guest.initramfs,
      // The kernel starts no more than it is to use; its agent brings others online.
      cmdline: kernelCommandLine({ extra: areAllThere ? [`maxcpus=${vcpus}`] : [] }),
      qmpSocket: request.paths.qmpSocket,
      agentSocket: request.paths.agentSocket,
      agentPort: AGENT_PORT,
      serialRingBytes: SERIAL_RING_BYTES,
      serialSocket: request.paths.serialSocket,
      entropy: { maxBytes: 64 * 1024, periodMs: 1000 },
      disks: request.disks.map(diskSpec),
      nics: [],
      hotplugPorts: HOTPLUG_PORTS,
      start: "boot",
    };
  }
}

function unavailable(what: string, error: unknown): unknown {
  if (!(error instanceof QemuError)) return error;
  return new PaddockError("VM_UNAVAILABLE", `could not ${what}: ${error.message}`, { cause: error });
}
