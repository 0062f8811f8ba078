/**
 * What a guest may receive, as lines for `tc -batch`.
 *
 * The queue of the tap delays packets to the rate. What a guest may send is a limit in the bridge's table, which drops packets over
 * the rate: a tap's own hooks for that (`tc` police) are missing in many kernels, and a detour over an `ifb` device costs two links
 * for each guest. A sender by TCP adapts to both.
 */
import type { GuestInterface } from "./node-network.ts";

/** The slowest rate that a guest can be given, in bytes a second: a packet takes 120 ms. */
export const MIN_BYTES_PER_SECOND = 12_500;
export const MAX_BYTES_PER_SECOND = 12_500_000_000;

/** Longest wait in the queue, in milliseconds. */
const LATENCY_MS = 50;

/** Sets, changes or lifts the rate. Safe to repeat, but lifting a rate that is not set is refused. */
export const receiveRateLines = (
  { tap }: Pick<GuestInterface, "tap">,
  bytesPerSecond: number | undefined,
): readonly string[] =>
  bytesPerSecond === undefined
    ? [`qdisc delete dev ${tap} root`]
    : [
        `qdisc replace dev ${tap} root handle 1: tbf rate ${bytesPerSecond}bps burst ${burstBytes(bytesPerSecond)} latency ${LATENCY_MS}ms`,
      ];

/** One hundredth of a second, and at least a packet as large as the kernel joins them. */
const burstBytes = (bytesPerSecond: number): number => Math.max(65_536, Math.ceil(bytesPerSecond / 100));
