/**
 * vCPUs and memory that come and go while the guest runs.
 *
 * Both are asked for and then up to the guest: it may take its time, or refuse. So each function waits for what the guest does, no
 * longer than it is told to, and answers what there is. What comes later is told by QEMU's events, see `onHotPlug`.
 */
import { MEMORY_BLOCK_BYTES, MEMORY_DEVICE } from "./machine-spec.ts";
import type { Monitor, VcpuSlot } from "./monitor.ts";
import { QemuError } from "./qemu-error.ts";
import type { QmpCallOptions, QmpEvent } from "./qmp-session.ts";

export type HotPlugOptions = {
  readonly signal: AbortSignal;
  /** How long the guest may take, in ms, of each vCPU, and in which some memory must have come or gone. */
  readonly guestMs: number;
};

const QMP_TIMEOUT_MS = 5000;
const PLUGGED = "/machine/peripheral/";
const idOf = (socket: number): string => `vcpu${socket}`;

/** A socket is one vCPU, see `command-line.ts`. */
function socketOf({ props }: VcpuSlot): number {
  const socket = props["socket-id"];
  if (typeof socket !== "number") throw new QemuError("qmp-protocol", "a vCPU slot has no socket-id");
  return socket;
}

/**
 * Plugs vCPUs in or out, the last first, until there are `count`. Those of the start are never taken out. Answers how many there
 * are: fewer or more than `count` when the guest did not let go, or there is no slot.
 */
export async function setVcpus(monitor: Monitor, count: number, options: HotPlugOptions): Promise<number> {
  const call = { signal: options.signal, timeoutMs: QMP_TIMEOUT_MS };
  const slots = (await monitor.vcpuSlots(call)).sort((a, b) => socketOf(a) - socketOf(b));
  const present = slots.filter(({ qomPath }) => qomPath !== undefined);
  const free = slots.filter(({ qomPath }) => qomPath === undefined);
  for (const slot of free.slice(0, Math.max(0, count - present.length)))
    await monitor.addVcpu(slot, idOf(socketOf(slot)), call);
  const pluggedIn = present.filter(({ qomPath }) => qomPath?.startsWith(PLUGGED));
  for (const slot of pluggedIn.reverse().slice(0, Math.max(0, present.length - count)))
    if (!(await releasesVcpu(monitor, idOf(socketOf(slot)), options))) break;
  return (await monitor.vcpus(call)).length;
}

/** Whether the guest let go of the vCPU in time. */
async function releasesVcpu(
  monitor: Monitor,
  id: string,
  { signal, guestMs }: HotPlugOptions,
): Promise<boolean> {
  // The event of the vCPU itself need not come (QEMU 7.2 tells of its APIC alone), its path begins both.
  const isIts = ({ data }: QmpEvent) => typeof data.path === "string" && data.path.startsWith(PLUGGED + id);
  const gone = happens(monitor, "DEVICE_DELETED", isIts, { signal, timeoutMs: guestMs });
  await monitor.session
    .execute("device_del", { id }, { signal, timeoutMs: QMP_TIMEOUT_MS })
    .catch((error) => {
      // It was asked before, by a daemon that did not see the end of it.
      if (!(error instanceof QemuError) || error.kind !== "qmp-refused") throw error;
    });
  const isGone = await gone;
  signal.throwIfAborted();
  return isGone;
}

/** How often memory may come or go before the guest is given up, at a change a second at most: it must not go on for ever. */
const MAX_CHANGES = 30;

/**
 * Asks the guest to have `bytes` beyond what it started with, in one step; whole blocks, and no more than its maximum. Waits as long
 * as it goes on taking or giving back. Answers how much it has beyond its start, in bytes.
 */
export async function setPluggedMemory(
  monitor: Monitor,
  bytes: number,
  { signal, guestMs }: HotPlugOptions,
): Promise<number> {
  const call = { signal, timeoutMs: QMP_TIMEOUT_MS };
  const device = await monitor.pluggableMemory(call);
  if (device === undefined) return 0;
  const blocks = Math.ceil(Math.max(0, bytes) / MEMORY_BLOCK_BYTES);
  const wanted = Math.min(blocks * MEMORY_BLOCK_BYTES, device.maxBytes);
  using changes = new Changes(monitor, isMemory);
  await monitor.requestMemory(wanted, call);
  for (let change = 0; change < MAX_CHANGES; change++) {
    const plugged = (await monitor.pluggableMemory(call))?.bytes ?? 0;
    // QEMU tells of changes once a second at most, and of the last one in the end.
    if (plugged === wanted || !(await changes.next({ signal, timeoutMs: guestMs }))) break;
  }
  signal.throwIfAborted();
  return (await monitor.pluggableMemory(call))?.bytes ?? 0;
}

const isMemory = ({ data }: QmpEvent): boolean => data.id === MEMORY_DEVICE;

/** Changes of memory since it was made: one that comes between two looks is not missed. */
class Changes implements Disposable {
  #seen = 0;
  #wake: () => void = () => undefined;
  readonly #off: () => void;

  constructor(monitor: Monitor, accept: (event: QmpEvent) => boolean) {
    this.#off = monitor.session.on("MEMORY_DEVICE_SIZE_CHANGE", (event) => {
      if (!accept(event)) return;
      this.#seen++;
      this.#wake();
    });
    void monitor.closed.then(() => this.#wake());
  }

  /** Whether there was one since the last call, or is one in time. */
  async next({ signal, timeoutMs }: { signal: AbortSignal; timeoutMs: number }): Promise<boolean> {
    if (this.#seen === 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, timeoutMs);
      signal.addEventListener("abort", this.#wake, { once: true });
      await promise;
      signal.removeEventListener("abort", this.#wake);
      clearTimeout(timer);
    }
    const seen = this.#seen > 0;
    this.#seen = 0;
    return seen;
  }

  [Symbol.dispose](): void {
    this.#off();
  }
}

/** Calls `listener` whenever the guest has taken or given back some of it. */
export function onHotPlug(monitor: Monitor, listener: (what: "memory" | "vcpu") => void): void {
  monitor.session.on("MEMORY_DEVICE_SIZE_CHANGE", (event) => {
    if (isMemory(event)) listener("memory");
  });
  monitor.session.on("DEVICE_DELETED", ({ data }) => {
    if (typeof data.path === "string" && data.path.startsWith(`${PLUGGED}vcpu`)) listener("vcpu");
  });
}

/** Whether the event comes in time. Listening starts before this returns. */
async function happens(
  monitor: Monitor,
  event: string,
  accept: (event: QmpEvent) => boolean,
  options: QmpCallOptions,
): Promise<boolean> {
  return await monitor.session.nextEvent(event, accept, options).then(
    () => true,
    () => false,
  );
}
