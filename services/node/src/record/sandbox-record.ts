/**
 * A node's record of a sandbox: one immutable value, replaced as a whole, stored as one row.
 */
import type { ContainerId, SandboxId, VmSize } from "@paddock/domain";
import type { ContainerSpec, SandboxSpec } from "@paddock/protocol";
import type { MachineIdentity } from "../vm/machine-port.ts";
import type { VmId } from "../vm/vm-paths.ts";
import type { DeviceRecord } from "./device-record.ts";
import type { InterfaceRecord, NetworkRecord } from "./network-record.ts";
import type { SandboxVolume } from "./volume-record.ts";

export const STOP_CAUSES = [
  "exited",
  "signalled",
  "guest_oom",
  "host_oom",
  "vm_lost",
  "guest_panic",
  "requested",
  "host_restart",
  "guest_unresponsive",
] as const;
export type StopCause = (typeof STOP_CAUSES)[number];

/** How an init ended, from the guest's waitpid. */
export type ExitRecord = {
  readonly code: number;
  readonly signal: number;
  readonly oomKilled: boolean;
  readonly exitedAtMs: number;
  readonly reason: string;
};

export type ContainerPhase =
  | { readonly kind: "ready" }
  | { readonly kind: "running" | "paused"; readonly pid: number; readonly startedAtMs: number }
  | {
      readonly kind: "stopped";
      readonly cause: StopCause;
      /** Only a reported exit; a VM that vanished leaves none. */
      readonly exit?: ExitRecord;
      readonly startedAtMs?: number;
      readonly stoppedAtMs: number;
    };

/** SCSI targets, 0 to 255. */
export type DiskTargets = {
  readonly image: number;
  /** None with a read-only root file system. */
  readonly layer?: number;
};

export type ContainerRecord = {
  readonly containerId: ContainerId;
  /**
   * Changes each time the container is created in a guest: reports about an earlier container of this id do not apply to this
   * one.
   */
  readonly instance: string;
  /** Request that created it. */
  readonly requestId: string;
  readonly spec: ContainerSpec;
  readonly imageId: string;
  /** Digest of the image's squashfs file. */
  readonly imageBlob: string;
  /** Signal that asks it to end, 1 to 64. */
  readonly stopSignal: number;
  /** Number among the sandbox's containers; names its disks. */
  readonly index: number;
  /** The addresses of its disks on the guest's SCSI controller. */
  readonly targets: DiskTargets;
  readonly createdAtMs: number;
  readonly oomKillCount: number;
  /** How many times it was recreated in the present VM, to be started again after its end. */
  readonly restarts: number;
  /**
   * Request of the last start, noted before the call to the guest: if the container has ended since, that start took effect.
   */
  readonly startRequestId?: string;
  readonly phase: ContainerPhase;
};

export type SandboxPhase =
  | { readonly kind: "creating" }
  | { readonly kind: "ready"; readonly machine: MachineIdentity }
  | {
      readonly kind: "running" | "paused";
      readonly machine: MachineIdentity;
      readonly startedAtMs: number;
    }
  | {
      readonly kind: "stopped";
      readonly cause: StopCause;
      readonly evidence: string;
      readonly startedAtMs?: number;
      readonly stoppedAtMs: number;
    }
  /** With its request, which has succeeded once the deletion is done; a later daemon may finish it. */
  | { readonly kind: "deleting"; readonly requestId?: string };

/** The sandbox's present VM, running or not. All its host resources are named after it and not after the sandbox. */
export type VmRecord = {
  readonly id: VmId;
  /** The VM's user and group are the node's base plus this. */
  readonly slot: number;
};

export type SandboxRecord = {
  readonly sandboxId: SandboxId;
  /** Rises with every change, so that readers can tell snapshots apart. */
  readonly version: number;
  readonly generation: bigint;
  /** Request that created it. */
  readonly requestId: string;
  readonly spec: SandboxSpec;
  readonly size: VmSize;
  readonly vm: VmRecord;
  readonly network: NetworkRecord;
  readonly createdAtMs: number;
  /** Time from the request to the agent's first answer, at the last boot. */
  readonly bootDurationMs: number;
  /** Last recorded event of the guest's present boot. */
  readonly agentSequence: number;
  /** The guest's boot id, which shows whether a guest that was taken over is the same. */
  readonly guestBootId: string;
  /** Number of events published about the sandbox. */
  readonly eventSequence: number;
  /** Evidence when the guest stopped answering; absent while it answers. */
  readonly unhealthy?: string;
  readonly phase: SandboxPhase;
  /** In order of creation. */
  readonly containers: readonly ContainerRecord[];
  /** The volumes that it uses. */
  readonly volumes: readonly SandboxVolume[];
  /** In the order in which they were added. */
  readonly devices: readonly DeviceRecord[];
  /**
   * Operations in progress, and those that an earlier daemon left or could not undo. Other operations are noted by the phase.
   */
  readonly operations: readonly Operation[];
};

/** An operation that is noted before its first step, with the input of its undo. */
export type Operation =
  /** If the VM is gone after a crash, it was ended on purpose. */
  | { readonly kind: "stop" }
  /** Before its creation, the container is in no other part of the record. */
  | {
      readonly kind: "add-container";
      readonly container: ContainerRecord;
      /** Volumes that the sandbox gets with it. */
      readonly volumes: readonly SandboxVolume[];
    }
  | { readonly kind: "update-container"; readonly containerId: ContainerId }
  /** As with a container. */
  | { readonly kind: "add-interface"; readonly interface: InterfaceRecord }
  /** It is finished and not undone. With the request, which has succeeded then. */
  | { readonly kind: "remove-interface"; readonly interfaceId: string; readonly requestId: string }
  | { readonly kind: "update-routes" }
  /** As with a container. */
  | { readonly kind: "add-device"; readonly device: DeviceRecord }
  /** It is finished and not undone. With the request, which has succeeded then. */
  | {
      readonly kind: "remove-device";
      readonly deviceId: string;
      readonly force: boolean;
      readonly requestId: string;
    };

/** The object of an operation: a sandbox has at most one operation of each. */
function subjectOf(operation: Operation): string {
  switch (operation.kind) {
    case "stop":
    case "update-routes":
      return operation.kind;
    case "add-container":
      return `${operation.kind} ${operation.container.containerId}`;
    case "update-container":
      return `${operation.kind} ${operation.containerId}`;
    case "add-interface":
      return `${operation.kind} ${operation.interface.interfaceId}`;
    case "remove-interface":
      return `${operation.kind} ${operation.interfaceId}`;
    case "add-device":
      return `${operation.kind} ${operation.device.deviceId}`;
    case "remove-device":
      return `${operation.kind} ${operation.deviceId}`;
    default:
      return operation satisfies never;
  }
}

/** The record with an operation noted. */
export const withOperation = (record: SandboxRecord, operation: Operation): SandboxRecord => ({
  ...record,
  operations: [...withoutOperation(record, operation).operations, operation],
});

/** The record without the note of the operation. */
export const withoutOperation = (record: SandboxRecord, operation: Operation): SandboxRecord => ({
  ...record,
  operations: record.operations.filter((each) => subjectOf(each) !== subjectOf(operation)),
});

/** The record without the note of this container's creation, which a repeat replaces. */
export const withoutCreationOf = (record: SandboxRecord, containerId: string): SandboxRecord => ({
  ...record,
  operations: record.operations.filter(
    (each) => each.kind !== "add-container" || each.container.containerId !== containerId,
  ),
});

/** The machine of a sandbox, if it has one. */
export function machineOf({ phase }: SandboxRecord): MachineIdentity | undefined {
  return "machine" in phase ? phase.machine : undefined;
}

/** The container with this id, if the sandbox has it. */
export const containerOf = (record: SandboxRecord, containerId: string): ContainerRecord | undefined =>
  record.containers.find((container) => container.containerId === containerId);

/** The record with one container changed by `change`; the same record when there is no such container. */
export function withContainer(
  record: SandboxRecord,
  containerId: string,
  change: (container: ContainerRecord) => ContainerRecord,
): SandboxRecord {
  const containers = record.containers.map((container) =>
    container.containerId === containerId ? change(container) : container,
  );
  return { ...record, containers };
}

/** The record of a sandbox whose VM is gone or was stopped, with all its containers stopped. */
export function stopped(
  record: SandboxRecord,
  {
    cause,
    evidence,
    nowMs,
  }: { readonly cause: StopCause; readonly evidence: string; readonly nowMs: number },
): SandboxRecord {
  const startedAtMs = "startedAtMs" in record.phase ? record.phase.startedAtMs : undefined;
  return {
    ...withContainersStopped(record, cause, nowMs),
    phase: {
      kind: "stopped",
      cause,
      evidence,
      ...(startedAtMs !== undefined && { startedAtMs }),
      stoppedAtMs: nowMs,
    },
  };
}

function withContainersStopped(record: SandboxRecord, cause: StopCause, nowMs: number): SandboxRecord {
  const containers = record.containers.map((container): ContainerRecord => {
    if (container.phase.kind === "stopped") return container;
    const startedAtMs = "startedAtMs" in container.phase ? { startedAtMs: container.phase.startedAtMs } : {};
    return { ...container, phase: { kind: "stopped", cause, ...startedAtMs, stoppedAtMs: nowMs } };
  });
  return { ...record, containers };
}
