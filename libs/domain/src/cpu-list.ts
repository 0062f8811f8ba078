/**
 * Sets of CPUs in the kernel's notation, such as "0-3,8".
 *
 * Containers name CPUs of the host. The guest has vCPUs, numbered from 0; there may be more or fewer of them. With n CPUs in the
 * union of all sets and v vCPUs, each vCPU maps to CPUs of the union. If v >= n, vCPU i maps to the CPU at index i mod n. If
 * v < n, vCPU i maps to the i-th of v contiguous runs. A vCPU can be pinned to the CPUs it maps to, and a container runs on the
 * vCPUs that map to its CPUs.
 */
import { invalidField } from "./errors.ts";

/** The largest NR_CPUS of a kernel. Without a bound, "0-4294967295" would expand to 4 billion entries. */
const CPUS_MAX = 8192;

/** The CPUs of a list, sorted and without duplicates. An empty text gives none. Throws INVALID_FIELD for `field`. */
export function parseCpuList(text: string, field = "cpuset_cpus"): readonly number[] {
  const cpus = new Set<number>();
  if (text === "") return [];
  for (const part of text.split(",")) {
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    const first = Number(range?.[1] ?? -1);
    const last = Number(range?.[2] ?? first);
    if (first < 0 || last < first || last >= CPUS_MAX)
      throw invalidField(
        field,
        `must be a list of CPUs below ${CPUS_MAX}, such as 0-3,8`,
        `${JSON.stringify(text.slice(0, 64))} is not a list of CPUs`,
      );
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

/** Formats CPUs, given in any order, as a list with the fewest ranges. */
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

/** The union of all lists. Undefined (all CPUs) when there is no list or one of them is undefined or empty. */
export function unionOfCpuLists(lists: readonly (string | undefined)[]): string | undefined {
  const union = new Set<number>();
  for (const list of lists) {
    if (!list) return undefined;
    for (const cpu of parseCpuList(list)) union.add(cpu);
  }
  return union.size === 0 ? undefined : formatCpuList(union);
}

/**
 * The guest's CPUs for a container that names `hostCpus`; never an empty list. When no vCPU maps only to its CPUs, these are the
 * vCPUs that map to some of them. All vCPUs when `union` or `hostCpus` is undefined or empty, or when they are disjoint.
 */
export function guestCpuset(hostCpus: string | undefined, union: string | undefined, vcpus: number): string {
  const all = Array.from({ length: vcpus }, (_, vcpu) => vcpu);
  if (!hostCpus || !union) return formatCpuList(all);
  const wanted = new Set(parseCpuList(hostCpus));
  const meaning = hostCpusOfVcpus(parseCpuList(union), vcpus);
  const alone = all.filter((vcpu) => meaning[vcpu]?.every((cpu) => wanted.has(cpu)));
  if (alone.length > 0) return formatCpuList(alone);
  const shared = all.filter((vcpu) => meaning[vcpu]?.some((cpu) => wanted.has(cpu)));
  return formatCpuList(shared.length > 0 ? shared : all);
}

/**
 * The host CPUs to pin each vCPU to, by vCPU index, so that containers with different sets run on their own CPUs. Undefined when
 * all containers have the same set or one of them has none: the CPU set of the sandbox is enough then.
 */
export function vcpuPins(
  lists: readonly (string | undefined)[],
  vcpus: number,
): readonly string[] | undefined {
  const union = unionOfCpuLists(lists);
  if (union === undefined) return undefined;
  const normalised = new Set(lists.map((list) => formatCpuList(parseCpuList(list ?? ""))));
  if (normalised.size < 2) return undefined;
  return hostCpusOfVcpus(parseCpuList(union), vcpus).map(formatCpuList);
}

/** The host CPUs that each vCPU maps to; see the top of this file. */
function hostCpusOfVcpus(union: readonly number[], vcpus: number): readonly (readonly number[])[] {
  const n = union.length;
  return Array.from({ length: vcpus }, (_, vcpu) =>
    vcpus >= n
      ? union.slice(vcpu % n, (vcpu % n) + 1)
      : union.slice(Math.floor((vcpu * n) / vcpus), Math.floor(((vcpu + 1) * n) / vcpus)),
  );
}
