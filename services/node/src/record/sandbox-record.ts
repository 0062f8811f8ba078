/**
 * What a node knows of a sandbox: one immutable value, replaced as a whole, stored as one row.
 *
 *     creating ──> ready ──> running <──> paused
 *        │           └──────────┴────────────┴──> stopped ──> running
 *        └─> (undone)                any of them ──> deleting ──> (gone)
 *
 * A phase carries only what is true in it: there is a machine in `ready`, `running` and `paused`, and nowhere else.
 * The specs are kept as the messages the client sent, because all that is done with them is to hand them on, to the
 * guest and back to the client.
 */
import type { ContainerId, SandboxId, VmSize } from "@paddock/domain";
import type { ContainerSpec, SandboxSpec } from "@paddock/protocol";
import type { MachineIdentity } from "../vm/machine-port.ts";
import type { VmId } from "../vm/vm-paths.ts";
import type { NetworkRecord } from "./network-record.ts";

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

/** How an init ended, as the guest's waitpid told it. */
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
      /** Only what was seen; a VM that vanished leaves none. */
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
  /** Another one each time it is created in a guest: what is told of an earlier container of this id is not about this one. */
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
  /** Where its disks are on the guest's SCSI controller. */
  readonly targets: DiskTargets;
  readonly createdAtMs: number;
  readonly oomKillCount: number;
  /** Times it was made anew in the present VM, to be started again after its end. */
  readonly restarts: number;
  /** Request that started it last, noted before the guest is told: what has ended since was not left unstarted. */
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
  /** With the request, which has succeeded once it is done; a later daemon may be the one that finishes it. */
  | { readonly kind: "deleting"; readonly requestId?: string };

/** The VM that is the sandbox's now, running or not. Everything it has of the host is named after it and not after the sandbox. */
export type VmRecord = {
  readonly id: VmId;
  /** The VM's user and group are the node's base plus this. */
  readonly slot: number;
};

export type SandboxRecord = {
  readonly sandboxId: SandboxId;
  /** Rises with every change; readers can tell two snapshots apart. */
  readonly version: number;
  readonly generation: bigint;
  /** Request that created it. */
  readonly requestId: string;
  readonly spec: SandboxSpec;
  readonly size: VmSize;
  readonly vm: VmRecord;
  readonly network: NetworkRecord;
  readonly createdAtMs: number;
  /** From the request to the agent's first answer, of the last boot. */
  readonly bootDurationMs: number;
  /** Last event of the guest's present boot that was recorded. */
  readonly agentSequence: number;
  /** The guest's boot id, by which a re-adopted guest is known to be the same. */
  readonly guestBootId: string;
  /** Number of events published about it. */
  readonly eventSequence: number;
  /** What was seen when the guest stopped answering; not there while it answers. */
  readonly unhealthy?: string;
  readonly phase: SandboxPhase;
  /** By time of creation. */
  readonly containers: readonly ContainerRecord[];
  /** Operations that are under way, or that a daemon died over or could not undo. Phases tell of the others. */
  readonly operations: readonly Operation[];
};

/** An operation that is noted before its first step, with what its undo needs. */
export type Operation =
  /** A VM that is gone after a crash was ended on purpose. */
  | { readonly kind: "stop" }
  /** The container is in no other part of the record before it is created. */
  | { readonly kind: "add-container"; readonly container: ContainerRecord }
  | { readonly kind: "update-container"; readonly containerId: ContainerId };

/** What an operation is about: a sandbox has one of each at most. */
function subjectOf(operation: Operation): string {
  switch (operation.kind) {
    case "stop":
      return operation.kind;
    case "add-container":
      return `${operation.kind} ${operation.container.containerId}`;
    case "update-container":
      return `${operation.kind} ${operation.containerId}`;
    default:
      return operation satisfies never;
  }
}

/** The record with an operation noted. */
export const withOperation = (record: SandboxRecord, operation: Operation): SandboxRecord => ({
  ...record,
  operations: [...withoutOperation(record, operation).operations, operation],
});

/** The record without the note of an operation. */
export const withoutOperation = (record: SandboxRecord, operation: Operation): SandboxRecord => ({
  ...record,
  operations: record.operations.filter((each) => subjectOf(each) !== subjectOf(operation)),
});

/** The machine of a sandbox that has one. */
export function machineOf({ phase }: SandboxRecord): MachineIdentity | undefined {
  return "machine" in phase ? phase.machine : undefined;
}

/** The container of an id, if the sandbox has it. */
export const containerOf = (record: SandboxRecord, containerId: string): ContainerRecord | undefined =>
  record.containers.find((container) => container.containerId === containerId);

/** The record with one container replaced by what `change` makes of it; the same record when there is none. */
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

/** The record of a sandbox whose VM is gone or was stopped, and all its containers with it. */
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
