/** Processes of containers as rows, with the columns of `ps`. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { ProcessEntry } from "@paddock/protocol";
import { printable } from "./printable.ts";
import { formatBytes } from "./quantities.ts";

/** A process and the container that it belongs to. */
export type ContainerProcess = { readonly containerId: string; readonly process: ProcessEntry };

export type ProcessReading = { readonly atMs: number; readonly processes: readonly ContainerProcess[] };

const PROCESS_COLUMNS = ["PID", "PPID", "USER", "STATE", "THREADS", "TTY", "TIME", "VSZ", "RSS", "COMMAND"];

export const PROCESS_HEADING = ["CONTAINER", ...PROCESS_COLUMNS];
/** A process with its share of CPU since the previous reading. */
export const WATCHED_HEADING = ["CONTAINER", "CPU %", ...PROCESS_COLUMNS];

export const processRows = (processes: readonly ContainerProcess[]): string[][] =>
  processes.map(({ containerId, process }) => [containerId, ...cells(process)].map(printable));

/** The busiest first. */
export function watchedRows(before: ProcessReading | undefined, now: ProcessReading): string[][] {
  const usedUs = new Map(before?.processes.map((each) => [identity(each), each.process.cpuUs]));
  const spanMs = now.atMs - (before?.atMs ?? now.atMs);
  return now.processes
    .map((each) => {
      const earlier = usedUs.get(identity(each));
      const isKnown = earlier !== undefined && spanMs > 0 && each.process.cpuUs >= earlier;
      return { ...each, percent: isKnown ? Number(each.process.cpuUs - earlier) / (spanMs * 10) : undefined };
    })
    .sort((a, b) => (b.percent ?? 0) - (a.percent ?? 0))
    .map(({ containerId, process, percent }) =>
      [containerId, percent?.toFixed(1) ?? "-", ...cells(process)].map(printable),
    );
}

/** A PID may be reused by the next reading; the process then has another start time. */
const identity = ({ containerId, process: { pid, startedAt } }: ContainerProcess): string =>
  `${containerId}/${pid}/${startedAt ? timestampMs(startedAt) : 0}`;

const cells = (process: ProcessEntry): string[] => [
  String(process.pid),
  String(process.parentPid),
  process.user || String(process.uid),
  process.state,
  String(process.threads),
  process.terminal || "-",
  `${(Number(process.cpuUs) / 1e6).toFixed(2)}s`,
  formatBytes(process.virtualBytes),
  formatBytes(process.residentBytes),
  process.args.length > 0 ? process.args.join(" ") : `[${process.command}]`,
];
