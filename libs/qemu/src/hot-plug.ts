/**
 * Plugs and unplugs vCPUs and memory while the guest runs.
 *
 * Both are requests, which the guest may carry out slowly or refuse. Each function waits for the guest up to a deadline and returns
 * the actual amount. QEMU's events report later changes; see `onHotPlug`.
 */
import { MEMORY_BLOCK_BYTES, MEMORY_DEVICE } from "./machine-spec.ts";
import type { Monitor, VcpuSlot } from "./monitor.ts";
import { QemuError } from "./qemu-error.ts";
import type { QmpCallOptions, QmpEvent } from "./qmp-session.ts";

export type HotPlugOptions = {
  readonly signal: AbortSignal;
  /** How long to wait for each vCPU, and for each change of memory, in ms. */
  readonly guestMs: number;
};

const QMP_TIMEOUT_MS = 5000;
const PLUGGED = "/machine/peripheral/";
const idOf = (socket: number): string => `vcpu${socket}`;

/** Each socket has one vCPU; see `command-line.ts`. */
function socketOf({ props }: VcpuSlot): number {
  const socket = props["socket-id"];
  if (typeof socket !== "number") throw new QemuError("qmp-protocol", "a vCPU slot has no socket-id");
  return socket;
}

/**
 * Plugs or unplugs vCPUs until there are `count`; the last one is unplugged first. vCPUs present at boot are never unplugged. Returns
 * the actual number, which differs from `count` when the guest does not release a vCPU or there is no free slot.
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

/** Unplugs a vCPU. Returns whether the guest released it in time. */
async function releasesVcpu(
  monitor: Monitor,
  id: string,
  { signal, guestMs }: HotPlugOptions,
): Promise<boolean> {
  // QEMU 7.2 may send the event of the vCPU's APIC only. The paths of both begin with that of the vCPU.
  const isIts = ({ data }: QmpEvent) => typeof data.path === "string" && data.path.startsWith(PLUGGED + id);
  const gone = waitForEvent(monitor, "DEVICE_DELETED", isIts, { signal, timeoutMs: guestMs });
  await monitor.session
    .execute("device_del", { id }, { signal, timeoutMs: QMP_TIMEOUT_MS })
    .catch((error) => {
      // An earlier daemon has requested the unplug already.
      if (!(error instanceof QemuError) || error.kind !== "qmp-refused") throw error;
    });
  const isGone = await gone;
  signal.throwIfAborted();
  return isGone;
}

/** Bound on the number of changes to wait for, at no more than one per second, so that a guest cannot make the wait endless. */
const MAX_CHANGES = 30;

/**
 * Requests that the guest has `bytes` beyond its boot memory, rounded to whole blocks and limited to its maximum. Waits while the
 * amount keeps changing. Returns the plugged memory, in bytes.
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
    // QEMU reports changes at most once per second, and always the last one.
    if (plugged === wanted || !(await changes.next({ signal, timeoutMs: guestMs }))) break;
  }
  signal.throwIfAborted();
  return (await monitor.pluggableMemory(call))?.bytes ?? 0;
}

const isMemory = ({ data }: QmpEvent): boolean => data.id === MEMORY_DEVICE;

/** Counts matching events from its creation on, so that an event between two calls of `next` is not missed. */
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

  /** Waits for an event since the last call. Returns false at the deadline. */
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

/** Calls `listener` each time the guest plugs or unplugs memory or a vCPU. */
export function onHotPlug(monitor: Monitor, listener: (what: "memory" | "vcpu") => void): void {
  monitor.session.on("MEMORY_DEVICE_SIZE_CHANGE", (event) => {
    if (isMemory(event)) listener("memory");
  });
  monitor.session.on("DEVICE_DELETED", ({ data }) => {
    if (typeof data.path === "string" && data.path.startsWith(`${PLUGGED}vcpu`)) listener("vcpu");
  });
}

/** Waits for the event. Resolves to false at the deadline. Listening starts before this returns. */
async function waitForEvent(
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
