/** Third layer of the monitor client: the commands that Paddock uses, with typed results. */
import { BACKENDS, deviceId, deviceObjects } from "./devices.ts";
import { MEMORY_DEVICE, type PluggedSpec, SERIAL_RING } from "./machine-spec.ts";
import { QemuError } from "./qemu-error.ts";
import { type QmpCallOptions, type QmpEvent, QmpSession, type QmpSessionOptions } from "./qmp-session.ts";
import { isJsonObject, type JsonObject } from "./qmp-transport.ts";

/** QEMU's run state (qapi/run-state.json, RunState). */
export interface MachineStatus {
  readonly running: boolean;
  /** For example `running`, `paused`, `prelaunch`, `inmigrate`, `shutdown`, `guest-panicked`, `io-error`. */
  readonly status: string;
}

export interface VcpuThread {
  readonly index: number;
  /** Linux thread id, for cgroup v1 placement. */
  readonly threadId: number;
}

/** A vCPU slot, used or free. `addVcpu` uses `type` and `props` unchanged. */
export interface VcpuSlot {
  readonly type: string;
  readonly props: JsonObject;
  /** QOM path of the vCPU in the slot, undefined when free. A plugged vCPU is below `/machine/peripheral/`. */
  readonly qomPath: string | undefined;
}

/** Rates of a disk; undefined or 0 means no limit. */
export interface DiskRates {
  readonly readBytesPerSecond?: number | undefined;
  readonly writeBytesPerSecond?: number | undefined;
  readonly readOperationsPerSecond?: number | undefined;
  readonly writeOperationsPerSecond?: number | undefined;
}

/** How a migration ends (qapi/migration.json, MigrationStatus). */
const LAST_STATUSES = ["completed", "failed", "cancelled"];

function object(value: unknown, what: string): JsonObject {
  if (isJsonObject(value)) return value;
  throw new QemuError("qmp-protocol", `the monitor answered ${what} with a value that is not an object`);
}

function list(value: unknown, what: string): JsonObject[] {
  if (Array.isArray(value)) return value.map((item) => object(item, what));
  throw new QemuError("qmp-protocol", `the monitor answered ${what} with a value that is not a list`);
}

function text(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw new QemuError("qmp-protocol", `the monitor's answer lacks ${what}`);
}

function number(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new QemuError("qmp-protocol", `the monitor's answer lacks ${what}`);
}

export class Monitor implements AsyncDisposable {
  /** For events, and for commands that have no method here. */
  readonly session: QmpSession;

  constructor(session: QmpSession) {
    this.session = session;
  }

  /** Connects to a monitor that is listening already; otherwise use `waitForMonitor`. */
  static async open(options: QmpSessionOptions): Promise<Monitor> {
    return new Monitor(await QmpSession.open(options));
  }

  get closed(): Promise<QemuError> {
    return this.session.closed;
  }

  close(): void {
    this.session.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.session[Symbol.asyncDispose]();
  }

  async status(options?: QmpCallOptions): Promise<MachineStatus> {
    const answer = object(await this.session.execute("query-status", {}, options), "query-status");
    return { running: answer.running === true, status: text(answer.status, "status") };
  }

  /** Stops the vCPUs; `resume` continues them. */
  async pause(options?: QmpCallOptions): Promise<void> {
    await this.session.execute("stop", {}, options);
  }

  async resume(options?: QmpCallOptions): Promise<void> {
    await this.session.execute("cont", {}, options);
  }

  async vcpus(options?: QmpCallOptions): Promise<VcpuThread[]> {
    const answer = list(await this.session.execute("query-cpus-fast", {}, options), "query-cpus-fast");
    return answer.map((cpu) => ({
      index: number(cpu["cpu-index"], "cpu-index"),
      threadId: number(cpu["thread-id"], "thread-id"),
    }));
  }

  async vcpuSlots(options?: QmpCallOptions): Promise<VcpuSlot[]> {
    const command = "query-hotpluggable-cpus";
    const answer = list(await this.session.execute(command, {}, options), command);
    return answer.map((slot) => ({
      type: text(slot.type, "type"),
      props: object(slot.props, "props"),
      qomPath: typeof slot["qom-path"] === "string" ? slot["qom-path"] : undefined,
    }));
  }

  async addVcpu(slot: VcpuSlot, id: string, options?: QmpCallOptions): Promise<void> {
    await this.session.execute("device_add", { driver: slot.type, id, ...slot.props }, options);
  }

  /** Memory at boot, and memory plugged in since, in bytes. */
  async memory(options?: QmpCallOptions): Promise<{ baseBytes: number; pluggedBytes: number }> {
    const command = "query-memory-size-summary";
    const answer = object(await this.session.execute(command, {}, options), command);
    const plugged = answer["plugged-memory"];
    return {
      baseBytes: number(answer["base-memory"], "base-memory"),
      pluggedBytes: typeof plugged === "number" ? plugged : 0,
    };
  }

  /** Current and maximum size of the virtio-mem device, in bytes. Undefined when the machine has none. */
  async pluggableMemory(options?: QmpCallOptions): Promise<{ bytes: number; maxBytes: number } | undefined> {
    const command = "query-memory-devices";
    const devices = list(await this.session.execute(command, {}, options), command);
    const data = devices.map((device) => object(device.data, "data")).find(({ id }) => id === MEMORY_DEVICE);
    return data && { bytes: number(data.size, "size"), maxBytes: number(data["max-size"], "max-size") };
  }

  /** Requests this much memory beyond the boot memory, a multiple of 2 MiB. The guest may carry it out later. */
  async requestMemory(bytes: number, options?: QmpCallOptions): Promise<void> {
    const property = {
      path: `/machine/peripheral/${MEMORY_DEVICE}`,
      property: "requested-size",
      value: bytes,
    };
    await this.session.execute("qom-set", property, options);
  }

  /** Plugs in a device. When it cannot be added, its backend is removed again. A network card starts with its link down. */
  async addDevice(spec: PluggedSpec, options?: QmpCallOptions): Promise<void> {
    // Built first, because it validates every field before the first command.
    const { backend, device } = deviceObjects(spec);
    await this.session.execute(BACKENDS[spec.kind].add, backend, options);
    try {
      // The backend passes no packet until the link is set again, which also tells the card.
      if (spec.kind === "interface") await this.setLink(spec.id, false, options);
      await this.session.execute("device_add", device, options);
      if (spec.kind === "interface") await this.setLink(spec.id, false, options);
    } catch (error) {
      await this.removeDevice(spec, options).catch(() => {});
      throw error;
    }
  }

  /** Unplugs a device, waits until the guest has released it, and removes its backend. Succeeds when there is no such device. */
  async removeDevice(
    { kind, id }: Pick<PluggedSpec, "kind" | "id">,
    options: QmpCallOptions = {},
  ): Promise<void> {
    await unlessAbsent(this.#unplug(deviceId(id), options));
    const { remove, key } = BACKENDS[kind];
    await unlessAbsent(this.session.execute(remove, { [key]: id }, options));
  }

  /** Connects the cable of a network card, or pulls it out. */
  async setLink(id: string, up: boolean, options?: QmpCallOptions): Promise<void> {
    await this.session.execute("set_link", { name: id, up }, options);
  }

  /** Asks the guest to release a device and waits until it has (DEVICE_DELETED). */
  async #unplug(device: string, options: QmpCallOptions): Promise<void> {
    const isIts = (event: QmpEvent): boolean => event.data.device === device;
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])]);
    const gone = this.session.nextEvent("DEVICE_DELETED", isIts, { ...options, signal });
    const refused = this.session
      .nextEvent("DEVICE_UNPLUG_GUEST_ERROR", isIts, { ...options, signal })
      .then(() =>
        Promise.reject(new QemuError("qmp-refused", `the guest refused to release device ${device}`)),
      );
    gone.catch(() => {});
    refused.catch(() => {});
    try {
      await this.session.execute("device_del", { id: device }, options).catch((error: unknown) => {
        // The guest was asked before and has not answered yet.
        if (!isRefusal(error, /already in the process of unplug/)) throw error;
      });
      await Promise.race([gone, refused]);
    } finally {
      stop.abort();
    }
  }

  /** Sets the size of a writable disk, in bytes, after its file has grown. The guest is told. */
  async resizeDisk(id: string, bytes: number, options?: QmpCallOptions): Promise<void> {
    await this.session.execute("block_resize", { "node-name": id, size: bytes }, options);
  }

  /** Limits the rates of a disk in QEMU. Replaces earlier limits. */
  async limitDisk(id: string, rates: DiskRates, options?: QmpCallOptions): Promise<void> {
    await this.session.execute(
      "block_set_io_throttle",
      {
        id: deviceId(id),
        bps: 0,
        bps_rd: rates.readBytesPerSecond ?? 0,
        bps_wr: rates.writeBytesPerSecond ?? 0,
        iops: 0,
        iops_rd: rates.readOperationsPerSecond ?? 0,
        iops_wr: rates.writeOperationsPerSecond ?? 0,
      },
      options,
    );
  }

  /** Reads at most `maxBytes` from the serial ring, oldest first, and removes them from the ring. */
  async readSerial(maxBytes: number, options?: QmpCallOptions): Promise<Buffer> {
    const args = { device: SERIAL_RING, size: maxBytes, format: "base64" };
    return Buffer.from(
      text(await this.session.execute("ringbuf-read", args, options), "serial data"),
      "base64",
    );
  }

  /**
   * Sends the device state to a unix socket (see `receiveState`) and waits until it is complete. Guest memory is left out when it is
   * a shared file. It is a socket because QEMU accepts a descriptor only through SCM_RIGHTS, which Node cannot send.
   */
  async saveState(socketPath: string, options: QmpCallOptions = {}): Promise<void> {
    await this.#migrate("migrate", `unix:${socketPath}`, options);
  }

  /**
   * Loads the device state from a descriptor that QEMU inherited, into a machine with `start: "restore"`. Its vCPUs wait for `resume`.
   * QEMU 7.2 exits when it refuses a state: then this rejects with `qmp-closed`, and the reason is in QEMU's stderr.
   */
  async loadState(fd: number, options: QmpCallOptions = {}): Promise<void> {
    await this.#migrate("migrate-incoming", `fd:${fd}`, options);
  }

  async #migrate(
    command: "migrate" | "migrate-incoming",
    uri: string,
    options: QmpCallOptions,
  ): Promise<void> {
    const capabilities = ["x-ignore-shared", "events"].map((capability) => ({ capability, state: true }));
    await this.session.execute("migrate-set-capabilities", { capabilities }, options);
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])]);
    const isLast = ({ data }: QmpEvent): boolean =>
      typeof data.status === "string" && LAST_STATUSES.includes(data.status);
    const done = this.session.nextEvent("MIGRATION", isLast, { ...options, signal });
    done.catch(() => {});
    try {
      await this.session.execute(command, { uri }, options);
      const { data } = await done;
      if (data.status === "completed") return;
      const answer = object(await this.session.execute("query-migrate", {}, options), "query-migrate");
      throw new QemuError(
        "qmp-refused",
        `${command}: ${data.status}: ${answer["error-desc"] ?? "no reason given"}`,
      );
    } finally {
      stop.abort();
    }
  }
}

const isRefusal = (error: unknown, what: RegExp): boolean =>
  error instanceof QemuError && error.kind === "qmp-refused" && what.test(error.message);

/** Ignores QEMU's answer that it does not have the device or the backend. */
async function unlessAbsent(removal: Promise<unknown>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    const isAbsent = error instanceof QemuError && error.detail === "DeviceNotFound";
    if (!isAbsent && !isRefusal(error, /Failed to find node|not found/i)) throw error;
  }
}
