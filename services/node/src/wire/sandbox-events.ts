/**
 * The events of a change, derived from the records before and after it, so that none is forgotten.
 *
 * A container has events only once its sandbox has a VM: before that it is only planned.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  ContainerState,
  type Event,
  EventSchema,
  SandboxState,
  StopCause as WireCause,
} from "@paddock/protocol";
import {
  type ContainerRecord,
  type ExitRecord,
  machineOf,
  type SandboxRecord,
  type StopCause,
} from "../record/sandbox-record.ts";
import { containerStateOf, exitStatusOf, healthOf, sandboxStateOf, stopCauseOf } from "./sandbox-status.ts";

/** The content of an event. */
export type Change = Pick<Event, "change"> & Partial<Pick<Event, "containerId" | "execId" | "cause">>;

export type EventContext = { readonly nodeId: string; readonly nowMs: number; readonly newId: () => string };

/**
 * Encoded events of a change of one sandbox, numbered from `before.eventSequence` on. `told` are changes that happened just
 * before and are in no record.
 */
export function eventsOf(
  before: SandboxRecord | undefined,
  after: SandboxRecord,
  context: EventContext,
  told: readonly Change[] = [],
): Uint8Array[] {
  const first = (before?.eventSequence ?? 0) + 1;
  return [...told, ...changesOf(before, after)].map((change, index) =>
    encoded(after.sandboxId, first + index, change, context),
  );
}

/** The last event of a sandbox: its record is removed. */
export const goneEvent = ({ sandboxId, eventSequence }: SandboxRecord, context: EventContext): Uint8Array =>
  encoded(
    sandboxId,
    eventSequence + 1,
    { change: { case: "sandboxState", value: SandboxState.DELETED } },
    context,
  );

/** The end of a process. */
export const exitedChange = (ended: {
  readonly containerId: string;
  readonly execId: string;
  readonly exit: ExitRecord;
  readonly cause: StopCause;
}): Change => ({
  containerId: ended.containerId,
  execId: ended.execId,
  cause: stopCauseOf(ended.cause),
  change: { case: "processExited", value: exitStatusOf(ended.exit) },
});

function encoded(sandboxId: string, sequence: number, change: Change, context: EventContext): Uint8Array {
  return toBinary(
    EventSchema,
    create(EventSchema, {
      eventId: context.newId(),
      time: timestampFromMs(context.nowMs),
      nodeId: context.nodeId,
      sandboxId,
      sequence: BigInt(sequence),
      ...change,
    }),
  );
}

function changesOf(before: SandboxRecord | undefined, after: SandboxRecord): Change[] {
  const changes: Change[] = [];
  const old = toldContainers(before);
  // The deletion of a sandbox includes its containers.
  const now = after.phase.kind === "deleting" ? old : toldContainers(after);
  for (const container of now) changes.push(...containerChanges(of(old, container.containerId), container));
  for (const { containerId } of old)
    if (of(now, containerId) === undefined)
      changes.push({ containerId, change: { case: "containerState", value: ContainerState.DELETED } });
  if (before?.phase.kind !== after.phase.kind)
    changes.push({
      change: { case: "sandboxState", value: sandboxStateOf(after.phase.kind) },
      cause: after.phase.kind === "stopped" ? stopCauseOf(after.phase.cause) : WireCause.UNSPECIFIED,
    });
  changes.push(...healthChanges(before, after));
  return changes;
}

const toldContainers = (record: SandboxRecord | undefined): readonly ContainerRecord[] =>
  record === undefined || record.phase.kind === "creating" ? [] : record.containers;

const of = (containers: readonly ContainerRecord[], id: string): ContainerRecord | undefined =>
  containers.find(({ containerId }) => containerId === id);

/** Health concerns a running guest; a stopped sandbox has none, which its state shows. */
function healthChanges(before: SandboxRecord | undefined, after: SandboxRecord): Change[] {
  const { unhealthy } = after;
  const isNews = (unhealthy === undefined) !== (before?.unhealthy === undefined);
  if (!isNews || machineOf(after) === undefined) return [];
  return [{ change: { case: "health", value: healthOf(unhealthy) } }];
}

function containerChanges(before: ContainerRecord | undefined, after: ContainerRecord): Change[] {
  const { containerId, phase } = after;
  const changes: Change[] = [];
  if (after.oomKillCount > (before?.oomKillCount ?? 0))
    changes.push({
      containerId,
      cause: WireCause.GUEST_OOM,
      change: {
        case: "oom",
        value: { $typeName: "paddock.v1.OomEvent", oomKillCount: BigInt(after.oomKillCount) },
      },
    });
  if (before?.phase.kind === phase.kind) return changes;
  const { cause } = phase.kind === "stopped" ? phase : {};
  if (phase.kind === "stopped" && phase.exit !== undefined)
    changes.push(exitedChange({ containerId, execId: containerId, exit: phase.exit, cause: phase.cause }));
  changes.push({
    containerId,
    cause: cause === undefined ? WireCause.UNSPECIFIED : stopCauseOf(cause),
    change: { case: "containerState", value: containerStateOf(phase.kind) },
  });
  return changes;
}
