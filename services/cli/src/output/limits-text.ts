/** Formats limits of containers and sizes of VMs in the units of the command line, and marks those not in force yet. */
import type { ContainerResources, ContainerStatus, SandboxStatus } from "@paddock/protocol";
import { formatBytes } from "./quantities.ts";

/** Default period of a quota, in microseconds. */
export const DEFAULT_PERIOD_US = 100_000n;

/** "1.5", or "none". */
export const cpusText = (quotaUs: bigint, periodUs: bigint): string =>
  quotaUs <= 0n ? "none" : String(Number(quotaUs) / Number(periodUs));

/** "1.5 CPUs, 64.0MiB, 100 pids". A limit whose value in force differs shows both, as "2 CPUs (now 1)". */
export function limitsText({ resources, resourcesInForce }: ContainerStatus): string {
  const asked = resources === undefined ? [] : limitsOf(resources);
  const inForce =
    resourcesInForce && new Map(limitsOf(resourcesInForce).map((each) => [each.name, each.text]));
  const texts = asked.flatMap(({ name, text }) => {
    const now = inForce === undefined ? text : (inForce.get(name) ?? NONE);
    if (text === NONE && now === NONE) return [];
    return now === text ? [text] : [`${text === NONE ? `no ${name}` : text} (now ${now})`];
  });
  return texts.join(", ") || NONE;
}

const NONE = "none";

type Limit = { readonly name: string; readonly text: string };

/** The limits that are set, including those set to no limit. */
function limitsOf(resources: ContainerResources): Limit[] {
  const { cpuQuotaUs, cpuPeriodUs, cpuShares, cpusetCpus, memoryBytes, swapBytes, pids } = resources;
  const limit = <T>(name: string, value: T | undefined, text: (value: T) => string): Limit[] =>
    value === undefined ? [] : [{ name, text: text(value) }];
  return [
    ...limit("CPU limit", cpuQuotaUs, (quota) => counted(cpusText(quota, cpuPeriodUs ?? DEFAULT_PERIOD_US))),
    ...limit("shares", cpuShares, (shares) => `${shares} shares`),
    ...limit("cpuset", cpusetCpus, (list) => (list === "" ? NONE : `on ${list}`)),
    ...limit("memory limit", memoryBytes, (bytes) => (bytes < 0n ? NONE : formatBytes(bytes))),
    ...limit("swap limit", swapBytes, (bytes) => (bytes < 0n ? NONE : `${formatBytes(bytes)} swap`)),
    ...limit("pids limit", pids, (count) => (count < 0n ? NONE : `${count} pids`)),
  ];
}

const counted = (cpus: string): string => {
  if (cpus === NONE) return NONE;
  return cpus === "1" ? "1 CPU" : `${cpus} CPUs`;
};

/** "2 vCPUs, 512MiB, up to 4, 1.00GiB"; "-" without a VM. */
export function vmSizeText(status: SandboxStatus): string {
  const { size, maxSize } = status;
  if (size === undefined || size.vcpus === 0) return "-";
  const most = maxSize === undefined ? "" : `, up to ${maxSize.vcpus}, ${formatBytes(maxSize.memoryBytes)}`;
  return `${vcpusText(size.vcpus)}, ${formatBytes(size.memoryBytes)}${most}`;
}

/** The size that the VM has not reached yet, as "wants 2 vCPUs"; undefined if it has its size. */
export function waitingText(status: SandboxStatus): string | undefined {
  const { size, wantedSize: wanted } = status;
  if (size === undefined || wanted === undefined) return undefined;
  const waits = [
    ...(wanted.vcpus === size.vcpus ? [] : [vcpusText(wanted.vcpus)]),
    ...(wanted.memoryBytes === size.memoryBytes ? [] : [formatBytes(wanted.memoryBytes)]),
  ];
  return waits.length === 0 ? undefined : `wants ${waits.join(", ")}`;
}

const vcpusText = (count: number): string => `${count} vCPU${count === 1 ? "" : "s"}`;
