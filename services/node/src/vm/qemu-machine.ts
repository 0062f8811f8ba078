/**
 * A machine that is a QEMU process.
 *
 *     running ── GUEST_PANICKED, SHUTDOWN ──> ended, the process exists until it is killed (its console can be read)
 *        └────── monitor closed, process gone ──> ended
 *
 * While it runs it may be suspended because its host's disk is full: see `disk-hold.ts`.
 *
 * QEMU pauses instead of exiting, so that this daemon or the next can read the reason and the console. The end of the process is
 * noticed by its closed monitor; a child process has an exit code, too.
 */
import { rm } from "node:fs/promises";
import {
  endProcess,
  isAlive,
  type Monitor,
  onHotPlug,
  type ProcessExit,
  type ProcessIdentity,
  QemuError,
  receiveState,
  type SerialReader,
  setPluggedMemory,
  setVcpus,
  threadsOf,
  waitForEnd,
} from "@paddock/qemu";
import { DiskHold } from "./disk-hold.ts";
import type { DiskRates, Machine, MachineDevice, MachineEnd, SavedMachine } from "./machine-port.ts";
import { pinProcess, pinThreads } from "./pin-threads.ts";
import { MAX_STATE_BYTES } from "./saved-machine.ts";
import { EVIDENCE_BYTES, serialText, showsPanic } from "./serial-text.ts";

export type QemuMachineParts = {
  readonly identity: ProcessIdentity;
  readonly monitor: Monitor;
  readonly vcpuControl: Machine["vcpuControl"];
  /** Time for a guest to plug or release vCPUs and memory, in milliseconds; later changes are reported by `onResized`. */
  readonly guestPatienceMs: number;
  /** Free bytes of the file system of its disks. */
  readonly freeBytes: () => Promise<number>;
  /** Reader of its serial console; closed with the machine. */
  readonly serial: SerialReader;
  /** OOM kills by the host among its processes. */
  readonly hostOomKills: () => Promise<number>;
  /** Only for a machine whose memory is in a file. */
  readonly savable?:
    | (Pick<SavedMachine, "memoryPath" | "layout"> & { readonly stateSocket: string })
    | undefined;
  /** Only for a child process of this daemon. */
  readonly child?: { readonly exited: Promise<ProcessExit>; stderr(): string };
};

const QMP_TIMEOUT_MS = 5000;
/** Time for a guest to release a device; measured 0.2 s (emulated), and 5 s on a host with four times as much load as CPUs. */
const UNPLUG_TIMEOUT_MS = 10_000;
/** For the whole state; measured 10 ms (emulated). */
const SAVE_TIMEOUT_MS = 30_000;
/** Time in which a process that has closed its monitor must end. */
const EXIT_PATIENCE_MS = 2000;
/** Time to read the rest of a dead process's console from the socket. */
const DRAIN_MS = 1000;
const PANIC_STATUS = "guest-panicked";
/** Stopped by a full disk: disks are configured to do so, see `scsiDisk`. */
const IO_ERROR_STATUS = "io-error";
const ENDED_STATUSES: readonly string[] = ["shutdown", PANIC_STATUS, "internal-error"];

export class QemuMachine implements Machine {
  readonly identity: ProcessIdentity;
  readonly ended: Promise<MachineEnd>;
  readonly #parts: QemuMachineParts;
  readonly #hold: DiskHold;
  readonly #end = Promise.withResolvers<MachineEnd>();
  #console = Buffer.alloc(0);
  #oomKillsBefore = 0;
  #noticed = false;
  /** Resources that are being changed on request: the call returns the result, so their events are not reported. */
  readonly #resizing = new Set<"memory" | "vcpu">();

  private constructor(parts: QemuMachineParts) {
    this.#parts = parts;
    this.identity = parts.identity;
    this.ended = this.#end.promise;
    const { session } = parts.monitor;
    session.on("GUEST_PANICKED", () => this.#notice("guest_panic", "the guest's kernel panicked"));
    session.on("SHUTDOWN", (event) => {
      if (event.data.guest === true) this.#notice("guest_shutdown", "the guest shut itself down");
    });
    const { monitor, freeBytes } = parts;
    this.#hold = new DiskHold({ monitor, freeBytes, onChange: () => this.onHeld() });
    onHotPlug(parts.monitor, (what) => {
      if (!this.#resizing.has(what)) this.onResized();
    });
    void parts.monitor.closed.then(() => this.#lost());
  }

  /** Wraps a process whose monitor answers. If its guest has ended in the meantime, its status shows that. */
  static async of(parts: QemuMachineParts): Promise<QemuMachine> {
    const machine = new QemuMachine(parts);
    machine.#oomKillsBefore = await parts.hostOomKills().catch(() => 0);
    const { status } = await parts.monitor.status().catch((error: unknown) => {
      machine.release();
      throw error;
    });
    if (status === PANIC_STATUS) machine.#notice("guest_panic", "the guest's kernel panicked");
    else if (status === IO_ERROR_STATUS) machine.#hold.begin();
    else if (ENDED_STATUSES.includes(status)) machine.#notice("guest_shutdown", `QEMU's state is ${status}`);
    return machine;
  }

  async attach(device: MachineDevice, signal: AbortSignal): Promise<void> {
    await this.#parts.monitor.addDevice(device, { signal, timeoutMs: QMP_TIMEOUT_MS });
  }

  async detach(device: Pick<MachineDevice, "kind" | "id">, signal: AbortSignal): Promise<void> {
    const timeoutMs = Math.max(UNPLUG_TIMEOUT_MS, this.#parts.guestPatienceMs);
    await this.#parts.monitor.removeDevice(device, { signal, timeoutMs });
  }

  async setLink(id: string, isUp: boolean, signal: AbortSignal): Promise<void> {
    await this.#parts.monitor.setLink(id, isUp, { signal, timeoutMs: QMP_TIMEOUT_MS });
  }

  onResized: () => void = () => undefined;
  onHeld: () => void = () => undefined;

  get isHeld(): boolean {
    return this.#hold.isHeld;
  }

  get vcpuControl(): Machine["vcpuControl"] {
    return this.#parts.vcpuControl;
  }

  async memoryBytes(signal: AbortSignal): Promise<number> {
    const { baseBytes, pluggedBytes } = await this.#parts.monitor.memory({
      signal,
      timeoutMs: QMP_TIMEOUT_MS,
    });
    return baseBytes + pluggedBytes;
  }

  async vcpuThreads(signal: AbortSignal): Promise<readonly number[]> {
    const threads = await this.#parts.monitor.vcpus({ signal, timeoutMs: QMP_TIMEOUT_MS });
    // A guest may control QEMU. The threads that QEMU names are moved and pinned, so only its own count.
    const its = threadsOf(this.identity);
    const ids = threads.sort((a, b) => a.index - b.index).map(({ threadId }) => threadId);
    return ids.filter((threadId) => its.has(threadId));
  }

  async pinProcess(cpus: string, signal: AbortSignal): Promise<void> {
    if (!isAlive(this.identity)) throw new QemuError("deadline", "the VM's process is gone");
    await pinProcess(this.identity.pid, cpus, signal);
  }

  async pinVcpus(cpus: readonly string[], signal: AbortSignal): Promise<void> {
    await pinThreads(await this.vcpuThreads(signal), cpus, signal);
  }

  async setVcpus(vcpus: number, signal: AbortSignal): Promise<number> {
    if (this.vcpuControl === "guest") return (await this.vcpuThreads(signal)).length;
    const options = { signal, guestMs: this.#parts.guestPatienceMs };
    return await this.#resize("vcpu", () => setVcpus(this.#parts.monitor, vcpus, options));
  }

  async setMemory(memoryBytes: number, signal: AbortSignal): Promise<number> {
    const { monitor } = this.#parts;
    const { baseBytes } = await monitor.memory({ signal, timeoutMs: QMP_TIMEOUT_MS });
    const options = { signal, guestMs: this.#parts.guestPatienceMs };
    const plugged = () => setPluggedMemory(monitor, memoryBytes - baseBytes, options);
    return baseBytes + (await this.#resize("memory", plugged));
  }

  async #resize(what: "memory" | "vcpu", change: () => Promise<number>): Promise<number> {
    this.#resizing.add(what);
    try {
      return await change();
    } finally {
      this.#resizing.delete(what);
    }
  }

  async resizeDisk(id: string, bytes: number, signal: AbortSignal): Promise<void> {
    await this.#parts.monitor.resizeDisk(id, bytes, { signal, timeoutMs: QMP_TIMEOUT_MS });
  }

  async limitDisk(id: string, rates: DiskRates, signal: AbortSignal): Promise<void> {
    await this.#parts.monitor.limitDisk(id, rates, { signal, timeoutMs: QMP_TIMEOUT_MS });
  }

  async pause(signal: AbortSignal): Promise<void> {
    this.#hold.isPaused = true;
    await this.#parts.monitor.pause({ signal, timeoutMs: QMP_TIMEOUT_MS });
  }

  async resume(signal: AbortSignal): Promise<void> {
    // An ended machine stays stopped: QEMU would run a kernel that has panicked.
    if (this.#noticed) return;
    this.#hold.isPaused = false;
    await this.#parts.monitor.resume({ signal, timeoutMs: QMP_TIMEOUT_MS });
  }

  async serialTail(): Promise<string> {
    const read = await this.#parts.monitor
      .readSerial(EVIDENCE_BYTES, { timeoutMs: 1000 })
      .catch(() => Buffer.alloc(0));
    this.#console = Buffer.concat([this.#console, read]).subarray(-EVIDENCE_BYTES);
    // QEMU's ring also has the output from times without a daemon; our copy survives QEMU.
    return serialText(this.#console.length > 0 ? this.#console : this.#parts.serial.tail);
  }

  async save(statePath: string, signal: AbortSignal): Promise<SavedMachine> {
    const { monitor, savable } = this.#parts;
    if (savable === undefined) throw new Error("the machine was started without a file for its memory");
    const { stateSocket, ...saved } = savable;
    const bound = AbortSignal.any([signal, AbortSignal.timeout(SAVE_TIMEOUT_MS)]);
    await this.pause(bound);
    try {
      const options = { maxBytes: MAX_STATE_BYTES, signal: bound };
      await using state = await receiveState({ socketPath: stateSocket, file: statePath, ...options });
      await monitor.saveState(stateSocket, { signal: bound, timeoutMs: SAVE_TIMEOUT_MS });
      const stateDigest = await state.received;
      await this.kill(signal);
      return { ...saved, statePath, stateDigest };
    } catch (error) {
      await rm(statePath, { force: true });
      await this.resume(signal).catch(() => undefined);
      throw error;
    }
  }

  async kill(_signal: AbortSignal): Promise<void> {
    this.#stopWatching();
    await endProcess(this.identity, { graceMs: 0 });
    this.#disconnect();
    this.#end.resolve({ cause: "vm_lost", evidence: "the node ended the VM's process" });
  }

  release(): void {
    this.#stopWatching();
    this.#disconnect();
  }

  /** Called when the end is known or no longer matters. */
  #stopWatching(): void {
    this.#noticed = true;
    this.#hold[Symbol.dispose]();
  }

  #disconnect(): void {
    this.#parts.monitor.close();
    this.#parts.serial.close();
  }

  #notice(cause: MachineEnd["cause"], what: string): void {
    if (this.#noticed) return;
    this.#stopWatching();
    void this.serialTail().then((console) => {
      const seen = showsPanic(console) ? "guest_panic" : cause;
      this.#end.resolve({ cause: seen, evidence: evidence(what, console) });
    });
  }

  async #lost(): Promise<void> {
    if (this.#noticed) return;
    this.#stopWatching();
    const gone = await waitForEnd(this.identity, EXIT_PATIENCE_MS);
    const kills = await this.#parts.hostOomKills().catch(() => 0);
    const how = gone ? await this.#describeExit() : "QEMU closed its monitor but still runs";
    await this.#parts.serial.drain(DRAIN_MS);
    const said = this.#parts.serial.tail;
    const console = serialText(said.length > 0 ? said : this.#console);
    const cause = kills > this.#oomKillsBefore ? "host_oom" : showsPanic(console) ? "guest_panic" : "vm_lost";
    this.#end.resolve({ cause, evidence: evidence(how, console) });
  }

  async #describeExit(): Promise<string> {
    const { child } = this.#parts;
    if (child === undefined) return `QEMU (pid ${this.identity.pid}) has ended`;
    const exit = await child.exited;
    const how = exit.kind === "exited" ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`;
    const said = serialText(Buffer.from(child.stderr()));
    return `QEMU (pid ${this.identity.pid}) ${how}${said === "" ? "" : `, with the output: ${said.slice(-2048)}`}`;
  }
}

const evidence = (what: string, console: string): string =>
  `${what}${console === "" ? "" : `\nlast lines of the serial console:\n${console}`}`.slice(-EVIDENCE_BYTES);
