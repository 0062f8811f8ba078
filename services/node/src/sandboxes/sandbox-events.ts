/** The events that tell the world of a change: derived from the records before and after, so that none is forgotten. */
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema, StopCause as WireCause } from "@paddock/protocol";
import type { ContainerRecord, SandboxRecord } from "./sandbox-record.ts";
import { containerStateOf, exitStatusOf, sandboxStateOf, stopCauseOf } from "./sandbox-status.ts";

type Change = Pick<Event, "change"> & Partial<Pick<Event, "containerId" | "execId" | "cause">>;

export type EventContext = { readonly nodeId: string; readonly nowMs: number; readonly newId: () => string };

/** Encoded events of a change of one sandbox, numbered on from `before.eventSequence`. */
export function eventsOf(
  before: SandboxRecord | undefined,
  after: SandboxRecord,
  context: EventContext,
): Uint8Array[] {
  const first = (before?.eventSequence ?? 0) + 1;
  return changesOf(before, after).map((change, index) =>
    toBinary(
      EventSchema,
      create(EventSchema, {
        eventId: context.newId(),
        time: timestampFromMs(context.nowMs),
        nodeId: context.nodeId,
        sandboxId: after.sandboxId,
        sequence: BigInt(first + index),
        ...change,
      }),
    ),
  );
}

function changesOf(before: SandboxRecord | undefined, after: SandboxRecord): Change[] {
  const changes: Change[] = [];
  for (const container of after.containers) {
    const old = before?.containers.find(({ containerId }) => containerId === container.containerId);
    changes.push(...containerChanges(old, container));
  }
  if (before?.phase.kind !== after.phase.kind)
    changes.push({
      change: { case: "sandboxState", value: sandboxStateOf(after.phase.kind) },
      cause: after.phase.kind === "stopped" ? stopCauseOf(after.phase.cause) : WireCause.UNSPECIFIED,
    });
  return changes;
}

function containerChanges(before: ContainerRecord | undefined, after: ContainerRecord): Change[] {
  const { containerId, phase } = after;
  const changes: Change[] = [];
  if (after.oomKillCount > (before?.oomKillCount ?? 0))
    changes.push({
      containerId,
      change: {
        case: "oom",
        value: { $typeName: "paddock.v1.OomEvent", oomKillCount: BigInt(after.oomKillCount) },
      },
    });
  if (before?.phase.kind === phase.kind) return changes;
  const cause = phase.kind === "stopped" ? stopCauseOf(phase.cause) : WireCause.UNSPECIFIED;
  if (phase.kind === "stopped" && phase.exit !== undefined)
    changes.push({
      containerId,
      execId: containerId,
      cause,
      change: { case: "processExited", value: exitStatusOf(phase.exit) },
    });
  changes.push({
    containerId,
    cause,
    change: { case: "containerState", value: containerStateOf(phase.kind) },
  });
  return changes;
}
