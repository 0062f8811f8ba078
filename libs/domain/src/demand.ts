/**
 * What a sandbox demands, computed from its spec. The api uses it to choose a node, the node to size the VM.
 *
 * The spec is a structural type. The message of the public API fits it, so this file does not depend on the wire format.
 */
import type { Demand } from "./placement.ts";
import type { ContainerLimits } from "./update-plan.ts";
import { type ContainerDemand, MIB, type VmSize, type VmSizeDefaults, vmSize } from "./vm-size.ts";

/** Memory of a VM that the guest's kernel and agent need, in bytes. */
export const GUEST_OVERHEAD_BYTES = 64 * MIB;

/** Size of a VM when neither its request nor the node's settings name one. */
export const DEFAULT_VM_SIZE = { vcpus: 1, memoryBytes: 256 * MIB };

/** Size of a container's writable layer when its spec names none, in bytes. */
export const DEFAULT_LAYER_BYTES = 1024 * MIB;

/** Limits of a container as its spec states them. A missing, zero or negative value means no limit. */
export type StatedLimits = Pick<
  ContainerLimits,
  "cpuQuotaUs" | "cpuPeriodUs" | "cpuShares" | "cpusetCpus" | "memoryBytes"
> & { readonly hugepages?: readonly { readonly limitBytes: bigint }[] | undefined };

/** What a spec states of a VM and its containers. 0 means the node's default. */
export type StatedSandbox = {
  readonly resources?:
    | {
        readonly vcpus: number;
        readonly maxVcpus: number;
        readonly memoryBytes: bigint;
        readonly maxMemoryBytes: bigint;
      }
    | undefined;
  readonly containers: readonly StatedContainer[];
};

export type StatedContainer = StatedDisk & { readonly resources?: StatedLimits | undefined };

/** What a spec states of a container's disk. A size of 0 means the default. */
export type StatedDisk = {
  readonly readOnlyRootfs?: boolean | undefined;
  readonly writableLayerBytes?: bigint | undefined;
};

/** Size of a container's writable layer in bytes; 0 with a read-only root file system, which has none. */
export const layerDemandBytes = ({ readOnlyRootfs, writableLayerBytes }: StatedDisk): number =>
  readOnlyRootfs === true ? 0 : Number(writableLayerBytes ?? 0n) || DEFAULT_LAYER_BYTES;

/** Disk that containers may write to, in bytes. Their layers are sparse: each takes space as it is written. */
export const diskDemandBytes = (containers: readonly StatedDisk[]): number =>
  containers.reduce((sum, container) => sum + layerDemandBytes(container), 0);

/** What a container asks of its VM. */
export function containerDemand({ resources = {} }: StatedContainer): ContainerDemand {
  const { cpuQuotaUs, cpuPeriodUs, cpuShares, cpusetCpus, memoryBytes, hugepages = [] } = resources;
  return {
    cpuQuotaUs: numberOf(cpuQuotaUs),
    cpuPeriodUs: numberOf(cpuPeriodUs),
    cpuShares: numberOf(cpuShares),
    cpusetCpus,
    memoryBytes: numberOf(memoryBytes),
    hugepageBytes: hugepages.reduce((sum, { limitBytes }) => sum + Math.max(0, Number(limitBytes)), 0),
  };
}

/** Size of the sandbox's VM at boot. Throws what `vmSize` throws. */
export function sandboxVmSize({ resources, containers }: StatedSandbox, defaults: VmSizeDefaults): VmSize {
  return vmSize(
    {
      vcpus: resources?.vcpus ?? 0,
      maxVcpus: resources?.maxVcpus ?? 0,
      memoryBytes: Number(resources?.memoryBytes ?? 0n),
      maxMemoryBytes: Number(resources?.maxMemoryBytes ?? 0n),
      containers: containers.map(containerDemand),
    },
    defaults,
  );
}

/** The defaults assumed before a node is chosen. The node's own may differ; its admission decides. */
const ANY_NODE: VmSizeDefaults = {
  ...DEFAULT_VM_SIZE,
  maxVcpus: Number.POSITIVE_INFINITY,
  vcpuLimit: Number.POSITIVE_INFINITY,
  maxMemoryBytes: Number.POSITIVE_INFINITY,
  guestOverheadBytes: GUEST_OVERHEAD_BYTES,
};

/**
 * What a sandbox demands of its node: room for the VM at its boot size, not at its maximum size, and for the writable layers. Throws NO_CAPACITY when the
 * containers need more than the spec's maximum, which no node can change, and INVALID_FIELD when the spec's maximum is below the
 * boot size.
 */
export function sandboxDemand(spec: StatedSandbox): Demand {
  const { vcpus, memoryBytes } = sandboxVmSize(spec, ANY_NODE);
  return { room: { milliCpus: vcpus * 1000, memoryBytes, diskBytes: diskDemandBytes(spec.containers) } };
}

const numberOf = (value: bigint | undefined): number | undefined =>
  value === undefined ? undefined : Number(value);
