/** A record as shown by the public API. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { LockView } from "@paddock/lifecycle";
import {
  CgroupLayout,
  type Container,
  ContainerSchema,
  type ContainerStatus,
  ContainerStatusSchema,
  type ExitStatus,
  ExitStatusSchema,
  type Health,
  HealthSchema,
  HostLimitsSchema,
  type Isolation,
  type NetworkStatus,
  type Sandbox,
  SandboxSchema,
  type SandboxStatus,
  SandboxStatusSchema,
  type VmSize,
  VmSizeSchema,
  StopCause as WireCause,
  ContainerState as WireContainerState,
  SandboxState as WireSandboxState,
} from "@paddock/protocol";
import {
  type ContainerPhase,
  type ContainerRecord,
  type ExitRecord,
  machineOf,
  type SandboxPhase,
  type SandboxRecord,
  type StopCause,
} from "../record/sandbox-record.ts";
import type { HostLimits, MachineCgroups, MachineSize } from "../vm/machine-port.ts";
import type { Applied } from "../vm/running-vm.ts";
import type { NodeSide } from "./guest-network.ts";
import { netnsStatus, networkStatus } from "./network-status.ts";
import { shownContainerSpec, shownSpec } from "./shown-spec.ts";

export type StatusContext = {
  /** The node's network, if it has one. */
  readonly network: NodeSide | undefined;
  readonly nodeId: string;
  readonly isolation: Isolation;
  readonly lock: LockView;
  /** The limits in force for the VM, if they are known. */
  readonly applied?: Applied | undefined;
  /** Why the VM is suspended, if it is. Newer than the record, which a full disk may keep from being updated. */
  readonly unhealthy?: string | undefined;
  /** The part of the memory limit for the machine itself, in bytes. */
  readonly vmOverheadBytes: number;
  readonly cgroupLayout: MachineCgroups["layout"];
};

/** The sandbox with spec, status and placement. */
export function sandboxOf(record: SandboxRecord, context: StatusContext): Sandbox {
  return create(SandboxSchema, {
    sandboxId: record.sandboxId,
    spec: shownSpec(record),
    status: sandboxStatusOf(record, context),
    nodeId: context.nodeId,
    generation: record.generation,
  });
}

function sandboxStatusOf(record: SandboxRecord, context: StatusContext): SandboxStatus {
  const { isolation, lock, applied } = context;
  const { phase, size } = record;
  const { holder } = lock;
  return create(SandboxStatusSchema, {
    sandboxId: record.sandboxId,
    state: sandboxStateOf(phase.kind),
    version: BigInt(record.version),
    containers: record.containers.map(containerStatusOf),
    createdAt: timestampFromMs(record.createdAtMs),
    ...timesOf(phase),
    ...(phase.kind === "stopped" && { stopEvidence: phase.evidence }),
    isolation,
    size: vmSizeOf(applied?.size ?? size),
    maxSize: vmSizeOf({ vcpus: size.maxVcpus, memoryBytes: size.maxMemoryBytes ?? size.memoryBytes }),
    wantedSize: vmSizeOf(applied?.wanted ?? size),
    ...(applied && { limits: hostLimitsOf(applied.limits, context) }),
    ...shownNetwork(record, context.network),
    ...(machineOf(record) !== undefined && { health: healthOf(context.unhealthy ?? record.unhealthy) }),
    bootDuration: durationFromMs(Math.round(record.bootDurationMs)),
    lock: {
      holder: holder?.name ?? "",
      ...(holder !== undefined && { heldSince: timestampFromMs(holder.since.getTime()) }),
      waiters: lock.waiters.slice(0, 64),
    },
  });
}

function shownNetwork(record: SandboxRecord, side: NodeSide | undefined): { network?: NetworkStatus } {
  const { netns, interfaces } = record.network;
  if (netns !== undefined) return { network: netnsStatus(record, netns, side) };
  if (side === undefined || interfaces.length === 0) return {};
  return { network: networkStatus(record, side) };
}

/** When a sandbox or a container started and stopped, and why it stopped. */
const timesOf = (phase: SandboxPhase | ContainerPhase) => ({
  ...("startedAtMs" in phase &&
    phase.startedAtMs !== undefined && { startedAt: timestampFromMs(phase.startedAtMs) }),
  ...(phase.kind === "stopped" && {
    stoppedAt: timestampFromMs(phase.stoppedAtMs),
    stopCause: stopCauseOf(phase.cause),
  }),
});

const vmSizeOf = ({ vcpus, memoryBytes }: MachineSize): VmSize =>
  create(VmSizeSchema, { vcpus, memoryBytes: BigInt(memoryBytes) });

/** The health of a VM; `problem` is the problem, if there is one. */
export const healthOf = (problem: string | undefined): Health =>
  create(HealthSchema, { healthy: problem === undefined, detail: problem ?? "" });

const LAYOUTS: Readonly<Record<MachineCgroups["layout"], CgroupLayout>> = {
  v1: CgroupLayout.V1,
  hybrid: CgroupLayout.HYBRID,
  v2: CgroupLayout.V2,
};

/** The API's value for no limit. */
const NO_LIMIT = -1;

function hostLimitsOf(limits: HostLimits, { vmOverheadBytes, cgroupLayout }: StatusContext) {
  const { cpu, cpuShares, cpuset, memoryBytes, pids } = limits;
  return create(HostLimitsSchema, {
    cpuQuotaUs: BigInt(cpu?.quotaUs ?? NO_LIMIT),
    cpuPeriodUs: BigInt(cpu?.periodUs ?? 0),
    cpuShares: BigInt(cpuShares),
    cpusetCpus: cpuset ?? "",
    memoryBytes: BigInt(memoryBytes),
    memoryOverheadBytes: BigInt(vmOverheadBytes),
    pids: BigInt(pids),
    cgroupLayout: LAYOUTS[cgroupLayout],
  });
}

/** The container with spec, status and place. */
export const containerOfRecord = (
  { sandboxId }: SandboxRecord,
  container: ContainerRecord,
  nodeId: string,
): Container =>
  create(ContainerSchema, {
    sandboxId,
    containerId: container.containerId,
    spec: shownContainerSpec(container),
    status: containerStatusOf(container),
    nodeId,
  });

/** The container's status. */
export function containerStatusOf(container: ContainerRecord): ContainerStatus {
  const { phase, spec } = container;
  return create(ContainerStatusSchema, {
    containerId: container.containerId,
    state: containerStateOf(phase.kind),
    imageId: container.imageId,
    image: spec.image,
    pid: "pid" in phase ? phase.pid : 0,
    createdAt: timestampFromMs(container.createdAtMs),
    ...timesOf(phase),
    ...(phase.kind === "stopped" && phase.exit && { exitStatus: exitStatusOf(phase.exit) }),
    labels: spec.labels,
    restartCount: container.restarts,
    oomKillCount: BigInt(container.oomKillCount),
    terminal: spec.process?.terminal ?? false,
    ...(spec.resources !== undefined && { resources: spec.resources }),
    // Requested limits are recorded after the guest has applied them.
    ...(spec.resources !== undefined && phase.kind !== "stopped" && { resourcesInForce: spec.resources }),
  });
}

export function exitStatusOf(exit: ExitRecord): ExitStatus {
  return create(ExitStatusSchema, {
    code: exit.code,
    signal: exit.signal,
    oomKilled: exit.oomKilled,
    exitedAt: timestampFromMs(exit.exitedAtMs),
    reason: exit.reason,
  });
}

const SANDBOX_STATES: Readonly<Record<SandboxPhase["kind"], WireSandboxState>> = {
  creating: WireSandboxState.CREATING,
  ready: WireSandboxState.READY,
  running: WireSandboxState.RUNNING,
  paused: WireSandboxState.PAUSED,
  stopped: WireSandboxState.STOPPED,
  deleting: WireSandboxState.DELETING,
};

export const sandboxStateOf = (kind: SandboxPhase["kind"]): WireSandboxState => SANDBOX_STATES[kind];

const CONTAINER_STATES: Readonly<Record<ContainerPhase["kind"], WireContainerState>> = {
  ready: WireContainerState.READY,
  running: WireContainerState.RUNNING,
  paused: WireContainerState.PAUSED,
  stopped: WireContainerState.STOPPED,
};

export const containerStateOf = (kind: ContainerPhase["kind"]): WireContainerState => CONTAINER_STATES[kind];

const STOP_CAUSES: Readonly<Record<StopCause, WireCause>> = {
  exited: WireCause.EXITED,
  signalled: WireCause.SIGNALLED,
  guest_oom: WireCause.GUEST_OOM,
  host_oom: WireCause.HOST_OOM,
  vm_lost: WireCause.VM_LOST,
  guest_panic: WireCause.GUEST_PANIC,
  requested: WireCause.REQUESTED,
  host_restart: WireCause.HOST_RESTART,
  guest_unresponsive: WireCause.GUEST_UNRESPONSIVE,
};

export const stopCauseOf = (cause: StopCause): WireCause => STOP_CAUSES[cause];
