/**
 * Sets of CPUs in the kernel's notation, such as "0-3,8".
 *
 * Containers name CPUs of the host. The guest has vCPUs, which are fewer or more, and numbered from 0. With n CPUs in the union
 * of all sets and v vCPUs, each vCPU stands for CPUs of the union: if v >= n, vCPU i for the CPU at i mod n; if v < n, for the
 * i-th of v runs of neighbours. So vCPUs can be pinned to what they stand for, and a container runs on the vCPUs that stand for
 * its CPUs.
 */
import { PaddockError } from "./errors.ts";

/** CPUs that a kernel can number (NR_CPUS at its largest); without a bound "0-4294967295" would be a list of 4 billion. */
const CPUS_MAX = 8192;

/** The CPUs of a list in rising order, each once; none of an empty one. Throws INVALID_FIELD for `field`. */
export function parseCpuList(text: string, field = "cpuset_cpus"): readonly number[] {
  const cpus = new Set<number>();
  if (text === "") return [];
  for (const part of text.split(",")) {
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    const first = Number(range?.[1] ?? -1);
    const last = Number(range?.[2] ?? first);
    if (first < 0 || last < first || last >= CPUS_MAX)
      throw new PaddockError("INVALID_FIELD", `${JSON.stringify(text.slice(0, 64))} is no list of CPUs`, {
        violations: [{ field, description: `must be a list of CPUs below ${CPUS_MAX}, such as 0-3,8` }],
      });
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

/** CPUs in any order as a list with the fewest parts. */
export function formatCpuList(cpus: Iterable<number>): string {
  const sorted = [...new Set(cpus)].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    while (sorted[end + 1] === (sorted[end] ?? 0) + 1) end++;
    parts.push(end === i ? `${sorted[i]}` : `${sorted[i]}-${sorted[end]}`);
    i = end + 1;
  }
  return parts.join(",");
}

/** What all lists together name; undefined, which is all CPUs, when there is no list or one of them is undefined or empty. */
export function unionOfCpuLists(lists: readonly (string | undefined)[]): string | undefined {
  const union = new Set<number>();
  for (const list of lists) {
    if (!list) return undefined;
    for (const cpu of parseCpuList(list)) union.add(cpu);
  }
  return union.size === 0 ? undefined : formatCpuList(union);
}

/**
 * The guest's CPUs for a container that names `hostCpus`, never an empty list: where no vCPU stands for its CPUs alone, those
 * that stand for some of them. All vCPUs when `union` or `hostCpus` is undefined or empty, or they have no CPU in common.
 */
export function guestCpuset(hostCpus: string | undefined, union: string | undefined, vcpus: number): string {
  const all = Array.from({ length: vcpus }, (_, vcpu) => vcpu);
  if (!hostCpus || !union) return formatCpuList(all);
  const wanted = new Set(parseCpuList(hostCpus));
  const meaning = meaningOfVcpus(parseCpuList(union), vcpus);
  const alone = all.filter((vcpu) => meaning[vcpu]?.every((cpu) => wanted.has(cpu)));
  if (alone.length > 0) return formatCpuList(alone);
  const shared = all.filter((vcpu) => meaning[vcpu]?.some((cpu) => wanted.has(cpu)));
  return formatCpuList(shared.length > 0 ? shared : all);
}

/**
 * CPUs of the host that each vCPU must be held to, by its index, so that containers with different sets each run on their own.
 * Undefined when they all have the same set, or one of them has none: then the set of the sandbox is enough.
 */
export function vcpuPins(
  lists: readonly (string | undefined)[],
  vcpus: number,
): readonly string[] | undefined {
  const union = unionOfCpuLists(lists);
  if (union === undefined) return undefined;
  const normalised = new Set(lists.map((list) => formatCpuList(parseCpuList(list ?? ""))));
  if (normalised.size < 2) return undefined;
  return meaningOfVcpus(parseCpuList(union), vcpus).map(formatCpuList);
}

/** CPUs of the host for each vCPU, see above. */
function meaningOfVcpus(union: readonly number[], vcpus: number): readonly (readonly number[])[] {
  const n = union.length;
  return Array.from({ length: vcpus }, (_, vcpu) =>
    vcpus >= n
      ? union.slice(vcpu % n, (vcpu % n) + 1)
      : union.slice(Math.floor((vcpu * n) / vcpus), Math.floor(((vcpu + 1) * n) / vcpus)),
  );
}
