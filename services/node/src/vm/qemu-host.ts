/** Machines as QEMU processes of this host, each with a user of its own. */
import { type FileHandle, lstat, open, readdir, readFile, rm } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import {
  type Accelerator,
  endProcess,
  identify,
  isAlive,
  kernelCommandLine,
  listeningSocket,
  type MachineSpec,
  type MemoryBacking,
  Monitor,
  machineLayout,
  type ProcessIdentity,
  QemuError,
  qemuArguments,
  SerialReader,
  type SpawnedQemu,
  spawnQemu,
  tunPrefix,
  waitForMonitor,
} from "@paddock/qemu";
import { KnownProcesses, type VmProcess } from "./known-processes.ts";
import type { Machine, MachineCgroups, MachineHost, MachineRequest } from "./machine-port.ts";
import { QemuMachine, type QemuMachineParts } from "./qemu-machine.ts";
import { openState } from "./saved-machine.ts";
import { EVIDENCE_BYTES } from "./serial-text.ts";
import { ownVmDirectory, requireSockets, vmUserOf } from "./vm-directory.ts";
import { formerVmsDir, parseVmId, type VmId, type VmPaths, vmPaths, vmsDir } from "./vm-paths.ts";

export type QemuHostOptions = {
  readonly binary: string;
  readonly accelerator: Accelerator;
  /**
   * Whether QEMU or the guest controls the number of vCPUs. Under emulation the guest by default: QEMU 7.2 crashes when a vCPU
   * is plugged into a busy guest, see the README of libs/qemu.
   */
  readonly vcpuControl?: Machine["vcpuControl"];
  /** Time for a guest to plug or release vCPUs and memory, in milliseconds. Default 3000. */
  readonly guestPatienceMs?: number;
  readonly cpuModel: string;
  /** Groups of the VM's user, such as the one that owns /dev/kvm. */
  readonly groups: readonly number[];
  /** The kernel and initramfs of every VM. */
  readonly guest: { readonly kernel: string; readonly initramfs: string };
  readonly cgroups: MachineCgroups;
  /** The state directory, which contains the directories of all VMs of this daemon. */
  readonly stateDir: string;
  /** Free bytes of the file system of a path. */
  readonly freeBytes: (path: string) => Promise<number>;
};

const AGENT_PORT = "paddock.agent.0";
const SERIAL_RING_BYTES = 64 * 1024;
/** Serial output kept in this process for each VM: the evidence, plus escape sequences that are removed. */
const SERIAL_TAIL_BYTES = 2 * EVIDENCE_BYTES;
const MONITOR_TIMEOUT_MS = 15_000;
const ADOPT_TIMEOUT_MS = 3000;
/** For the whole state of a saved machine; measured 10 ms (emulated). */
const LOAD_TIMEOUT_MS = 30_000;
const QMP_TIMEOUT_MS = 5000;
/** Descriptors that QEMU inherits. Only a restored machine has `state`. */
const DESCRIPTORS = { qmp: 3, agent: 4, serial: 5, state: 6 };
/** Time for a guest to release a vCPU, and for a change of its memory to begin; measured 0.1 s and 1 s (emulated). */
const GUEST_PATIENCE_MS = 3000;

export class QemuHost implements MachineHost {
  readonly #options: QemuHostOptions;
  readonly #known = new KnownProcesses<VmId>(() => this.#processes());

  constructor(options: QemuHostOptions) {
    this.#options = options;
  }

  get #vcpuControl(): Machine["vcpuControl"] {
    return this.#options.vcpuControl ?? (this.#options.accelerator === "kvm" ? "plug" : "guest");
  }

  async start(request: MachineRequest, signal: AbortSignal): Promise<Machine> {
    const qemu = await this.#spawn(request);
    try {
      const monitor = await waitForMonitor(qemu, {
        path: request.paths.qmpSocket,
        timeoutMs: MONITOR_TIMEOUT_MS,
        signal,
      });
      const machine = await this.#machine(request.paths, {
        identity: qemu.identity,
        monitor,
        savable: this.#savable(request),
        child: qemu,
      });
      try {
        await prepare(monitor, request, signal);
        await machine.resume(signal);
      } catch (error) {
        machine.release();
        throw error;
      }
      return machine;
    } catch (error) {
      await endProcess(qemu.identity, { graceMs: 0 });
      signal.throwIfAborted();
      throw unavailable(`start VM ${request.paths.id}`, error, qemu.stderr());
    }
  }

  /** QEMU inherits listening sockets; the daemon closes its copies before it connects. */
  async #spawn(request: MachineRequest): Promise<SpawnedQemu> {
    const { binary, groups } = this.#options;
    const { paths, uid, origin, memoryBytes } = request;
    const spec = this.#spec(request);
    await ownVmDirectory(paths, uid);
    await using held = new AsyncDisposableStack();
    const descriptors: number[] = [];
    if (origin.kind === "boot" && origin.memoryPath !== undefined)
      await createMemory(origin.memoryPath, memoryBytes, uid);
    for (const path of [paths.qmpSocket, paths.agentSocket, paths.serialSocket])
      descriptors.push(held.use(await listeningSocket(path)).fd);
    if (origin.kind === "restore")
      descriptors.push(
        held.use(await openState(origin.saved, { layout: machineLayout(spec), memoryBytes })).fd,
      );
    const privileges = { user: { uid, gid: uid, groups } };
    const qemu = await spawnQemu({
      binary,
      args: qemuArguments(spec),
      privileges,
      prefix: [...request.placement, ...(opensTaps(request) ? tunPrefix(privileges) : [])],
      descriptors,
    });
    this.#known.add({ vm: paths.id, identity: qemu.identity });
    return qemu;
  }

  async adopt(
    identity: ProcessIdentity,
    { paths, uid }: Pick<MachineRequest, "paths" | "uid">,
    signal: AbortSignal,
  ): Promise<Machine | undefined> {
    if (!isAlive(identity)) return undefined;
    try {
      await ownVmDirectory(paths, uid);
      await requireSockets(paths, uid);
      const monitor = await Monitor.open({ path: paths.qmpSocket, timeoutMs: ADOPT_TIMEOUT_MS, signal });
      return await this.#machine(paths, { identity, monitor });
    } catch (error) {
      if (!isAlive(identity)) return undefined;
      throw unavailable(`take over VM ${paths.id}`, error);
    }
  }

  async #machine(
    paths: VmPaths,
    parts: Pick<QemuMachineParts, "identity" | "monitor" | "savable" | "child">,
  ): Promise<QemuMachine> {
    const { guestPatienceMs = GUEST_PATIENCE_MS, cgroups, freeBytes } = this.#options;
    return await QemuMachine.of({
      ...parts,
      vcpuControl: this.#vcpuControl,
      guestPatienceMs,
      // A VM of an earlier version has no such socket: only QEMU has its console.
      serial: new SerialReader(paths.serialSocket, SERIAL_TAIL_BYTES),
      hostOomKills: () => cgroups.oomKills(paths.id),
      freeBytes: () => freeBytes(paths.dir),
    });
  }

  #savable({ origin, ...request }: MachineRequest): QemuMachineParts["savable"] {
    if (origin.kind === "restore" || origin.memoryPath === undefined) return undefined;
    const { stateSocket } = request.paths;
    const layout = machineLayout(this.#spec({ origin, ...request }));
    return { memoryPath: origin.memoryPath, layout, stateSocket };
  }

  async killStrays(paths: VmPaths, _signal: AbortSignal): Promise<void> {
    const strays = await this.#known.of(paths.id);
    await Promise.all(strays.map((identity) => endProcess(identity, { graceMs: 0 })));
    this.#known.ended(paths.id, strays);
    const sockets = [paths.qmpSocket, paths.agentSocket, paths.serialSocket, paths.stateSocket];
    await Promise.all(sockets.map((path) => rm(path, { force: true, recursive: true })));
  }

  async running(): Promise<readonly VmId[]> {
    return await this.#known.running();
  }

  /**
   * All processes whose command line names a VM's directory in this state directory and that have the VM's user, or ours until
   * they have dropped privileges. No record is needed, so a process that was started just before the daemon died is found, too.
   * One that hides is found by its cgroup, which it cannot leave.
   */
  async #processes(): Promise<VmProcess<VmId>[]> {
    const found: VmProcess<VmId>[] = [];
    for (const entry of await readdir("/proc")) {
      if (!/^[0-9]+$/.test(entry)) continue;
      const words = (await readFile(`/proc/${entry}/cmdline`, "utf8").catch(() => "")).split("\0");
      const id = this.#vmIn(words);
      if (id === undefined) continue;
      const identity = identify(Number(entry));
      const user = await lstat(`/proc/${entry}`).catch(() => undefined);
      if (identity === undefined || user === undefined) continue;
      const vmUser = await vmUserOf(vmPaths(this.#options.stateDir, id));
      if (user.uid === 0 || vmUser === undefined || user.uid === vmUser) found.push({ identity, vm: id });
    }
    return found;
  }

  /** The VM with this command line. An earlier version started VMs in the directories of their sandboxes. */
  #vmIn(words: readonly string[]): VmId | undefined {
    const { stateDir } = this.#options;
    const marks = [
      ["guest=", vmsDir(stateDir)],
      ["guest=", formerVmsDir(stateDir)],
      ["socket,id=qmp0,path=", formerVmsDir(stateDir)],
    ].map(([option, dir]) => `${option}${`${dir}/`.replaceAll(",", ",,")}`);
    for (const word of words)
      for (const mark of marks) {
        if (!word.startsWith(mark)) continue;
        const [name = ""] = word.slice(mark.length).split(/[/,]/);
        const id = parseVmId(name);
        if (id !== undefined) return id;
      }
    return undefined;
  }

  #spec(request: MachineRequest): MachineSpec {
    const { accelerator, cpuModel, guest } = this.#options;
    const { vcpus, maxVcpus } = request;
    const startsWithAll = this.#vcpuControl === "guest";
    return {
      name: request.paths.dir,
      accelerator,
      cpuModel,
      vcpus: startsWithAll ? maxVcpus : vcpus,
      maxVcpus,
      memory: {
        bytes: request.memoryBytes,
        maxBytes: request.maxMemoryBytes,
        backing: memoryBacking(request),
      },
      kernel: guest.kernel,
      initramfs: guest.initramfs,
      // The kernel starts only the vCPUs in use; its agent brings others online.
      cmdline: kernelCommandLine({ extra: startsWithAll ? [`maxcpus=${vcpus}`] : [] }),
      qmpFd: DESCRIPTORS.qmp,
      agentFd: DESCRIPTORS.agent,
      agentPort: AGENT_PORT,
      serialRingBytes: SERIAL_RING_BYTES,
      serialFd: DESCRIPTORS.serial,
      entropy: { maxBytes: 64 * 1024, periodMs: 1000 },
      devices: request.devices.filter(({ added }) => added === "cold"),
      hotplugPorts: request.interfacePorts,
      start: request.origin.kind,
    };
  }
}

const opensTaps = ({ interfacePorts, devices }: MachineRequest): boolean =>
  interfacePorts > 0 || devices.some(({ kind }) => kind === "interface");

/** Servers of shares map the guest's memory. Sharing it costs the huge pages of anonymous memory, so others do not share it. */
function memoryBacking({ origin, devices }: MachineRequest): MemoryBacking {
  if (origin.kind === "restore") return { kind: "file-private", path: origin.saved.memoryPath };
  const { memoryPath } = origin;
  if (memoryPath !== undefined) return { kind: "file-shared", path: memoryPath };
  return { kind: devices.some(({ kind }) => kind === "share") ? "shared" : "anonymous" };
}

/** QEMU creates no file, because its user cannot write to any directory. */
async function createMemory(path: string, bytes: number, uid: number): Promise<void> {
  await using file: FileHandle = await open(path, "wx", 0o600);
  await file.truncate(bytes);
  await file.chown(uid, uid);
}

/** Prepares a machine before its vCPUs run: loads the saved state, sets links down, plugs in devices. */
async function prepare(
  monitor: Monitor,
  { origin, devices }: MachineRequest,
  signal: AbortSignal,
): Promise<void> {
  if (origin.kind === "restore")
    await monitor.loadState(DESCRIPTORS.state, { signal, timeoutMs: LOAD_TIMEOUT_MS });
  const options = { signal, timeoutMs: QMP_TIMEOUT_MS };
  for (const device of devices)
    if (device.added === "plugged") await monitor.addDevice(device, options);
    else if (device.kind === "interface") await monitor.setLink(device.id, false, options);
}

function unavailable(what: string, error: unknown, stderr = ""): unknown {
  if (!(error instanceof QemuError)) return error;
  const said = stderr === "" || error.message.includes(stderr) ? "" : `; QEMU: ${stderr}`;
  return new PaddockError("VM_UNAVAILABLE", `could not ${what}: ${error.message}${said}`, { cause: error });
}
