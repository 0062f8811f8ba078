/**
 * Applies the guest's reports about its containers to the record. Pure.
 *
 * The tenant controls the guest: numbers are bounded, texts are clipped, and reports about unknown containers are ignored. An
 * ended container stays ended, even if the guest later reports otherwise.
 */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { parseExecId } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import {
  type ContainerPhase,
  type ContainerRecord,
  containerOf,
  type ExitRecord,
  type SandboxRecord,
  type StopCause,
  withContainer,
} from "../record/sandbox-record.ts";
import { type Change, exitedChange } from "./sandbox-events.ts";

export type FactContext = {
  readonly nowMs: number;
  /** Whether a client has requested the end of this container. */
  readonly stopRequested: (containerId: string) => boolean;
};

const MAX_REASON = 256;
const MAX_TIME_MS = 253_402_300_799_000;

/** The record after events of the guest, in order, and the changes that are in no record: the ends of execs. */
export function afterGuestEvents(
  record: SandboxRecord,
  events: readonly agentpb.WatchEventsResponse[],
  context: FactContext,
): { readonly record: SandboxRecord; readonly told: Change[] } {
  const told: Change[] = [];
  let after = record;
  for (const event of events) {
    after = afterGuestEvent(after, event, context);
    const change = endOfExec(after, event, context.nowMs);
    if (change === undefined) continue;
    told.push(change);
    // The number is recorded with the change, so that the guest does not send the event again to the next daemon.
    after = { ...after, agentSequence: Math.max(after.agentSequence, Number(event.sequence)) };
  }
  return { record: after, told };
}

/**
 * The end of an exec of a known container; undefined for other events, and when the next daemon would not know that the event
 * was handled.
 */
function endOfExec(
  record: SandboxRecord,
  { event, sequence }: agentpb.WatchEventsResponse,
  nowMs: number,
): Change | undefined {
  if (event.case !== "processExited" || !Number.isSafeInteger(Number(sequence))) return undefined;
  const { containerId, execId, status } = event.value;
  if (execId === containerId || status === undefined || parseExecId(execId) === undefined) return undefined;
  if (meant(record, event.value) === undefined) return undefined;
  const exit = exitRecordOf(status, nowMs);
  return exitedChange({ containerId, execId, exit, cause: causeOf(exit) });
}

/** The record after an event of the guest; the same record when the event changes nothing. */
export function afterGuestEvent(
  record: SandboxRecord,
  { event, sequence }: agentpb.WatchEventsResponse,
  context: FactContext,
): SandboxRecord {
  const changed = afterEvent(record, event, context);
  const agentSequence = Number(sequence);
  return changed === record || !Number.isSafeInteger(agentSequence) ? changed : { ...changed, agentSequence };
}

function afterEvent(
  record: SandboxRecord,
  event: agentpb.WatchEventsResponse["event"],
  context: FactContext,
): SandboxRecord {
  switch (event.case) {
    case "processExited": {
      const { containerId, execId, status } = event.value;
      return execId === containerId && status !== undefined
        ? afterExit(record, event.value, status, context)
        : record;
    }
    case "containerOom":
      return afterOom(record, event.value, event.value.oomKillCount);
    case "guestStopping":
    case undefined:
      return record;
    default:
      return event satisfies never;
  }
}

type Told = { readonly containerId: string; readonly instance: string };

/**
 * The container that the guest reports on; undefined for an unknown one, or an earlier one of the same id. An agent without
 * instances reports none.
 */
function meant(record: SandboxRecord, { containerId, instance }: Told): ContainerRecord | undefined {
  const container = containerOf(record, containerId);
  return instance === "" || instance === container?.instance ? container : undefined;
}

function afterExit(
  record: SandboxRecord,
  told: Told,
  status: agentpb.ExitStatus,
  context: FactContext,
): SandboxRecord {
  const container = meant(record, told);
  if (container === undefined || container.phase.kind === "stopped") return record;
  return withContainer(record, told.containerId, (each) => ({
    ...each,
    phase: ended(each, status, context),
  }));
}

function afterOom(record: SandboxRecord, told: Told, count: bigint): SandboxRecord {
  const oomKillCount = Number(count);
  const container = meant(record, told);
  if (container === undefined || !Number.isSafeInteger(oomKillCount)) return record;
  if (oomKillCount <= container.oomKillCount) return record;
  return withContainer(record, told.containerId, (each) => ({ ...each, oomKillCount }));
}

/** The record after the guest has listed its containers, which includes events that were missed. */
export function afterGuestList(
  record: SandboxRecord,
  listed: readonly agentpb.Container[],
  context: FactContext,
): SandboxRecord {
  return listed.reduce((soFar, container) => afterGuestContainer(soFar, container, context), record);
}

/** The record after the guest has described a container. */
export function afterGuestContainer(
  record: SandboxRecord,
  told: agentpb.Container,
  context: FactContext,
): SandboxRecord {
  const { containerId } = told;
  const counted = afterOom(record, told, told.oomKillCount);
  const container = meant(counted, told);
  if (container === undefined || container.phase.kind === "stopped") return counted;
  const phase = phaseOf(container, told, context);
  return samePhase(phase, container.phase)
    ? counted
    : withContainer(counted, containerId, (each) => ({ ...each, phase }));
}

function phaseOf(container: ContainerRecord, told: agentpb.Container, context: FactContext): ContainerPhase {
  switch (told.state) {
    case agentpb.ContainerState.UNSPECIFIED:
      return container.phase;
    case agentpb.ContainerState.CREATED:
      return { kind: "ready" };
    case agentpb.ContainerState.RUNNING:
      return { kind: "running", pid: told.pid, startedAtMs: startOf(container, told, context) };
    case agentpb.ContainerState.PAUSED:
      return { kind: "paused", pid: told.pid, startedAtMs: startOf(container, told, context) };
    case agentpb.ContainerState.STOPPED:
      return told.exitStatus === undefined ? container.phase : ended(container, told.exitStatus, context);
    default:
      told.state satisfies never;
      return container.phase;
  }
}

function ended(container: ContainerRecord, status: agentpb.ExitStatus, context: FactContext): ContainerPhase {
  const exit = exitRecordOf(status, context.nowMs);
  return {
    kind: "stopped",
    cause: context.stopRequested(container.containerId) ? "requested" : causeOf(exit),
    exit,
    ...("startedAtMs" in container.phase
      ? { startedAtMs: container.phase.startedAtMs }
      : { startedAtMs: context.nowMs }),
    stoppedAtMs: context.nowMs,
  };
}

/** The cause of a process's end, from its status alone. */
function causeOf(exit: ExitRecord): StopCause {
  if (exit.oomKilled) return "guest_oom";
  return exit.signal === 0 ? "exited" : "signalled";
}

/** The recorded form of an exit status. */
export function exitRecordOf(status: agentpb.ExitStatus, nowMs: number): ExitRecord {
  return {
    code: within(status.code, 0, 255),
    signal: within(status.signal, 0, 64),
    oomKilled: status.oomKilled,
    exitedAtMs: status.exitedAt === undefined ? nowMs : timeOf(timestampMs(status.exitedAt), nowMs),
    reason: status.reason.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, MAX_REASON),
  };
}

function startOf({ phase }: ContainerRecord, told: agentpb.Container, { nowMs }: FactContext): number {
  if ("startedAtMs" in phase && phase.startedAtMs !== undefined) return phase.startedAtMs;
  return told.startedAt === undefined ? nowMs : timeOf(timestampMs(told.startedAt), nowMs);
}

const within = (value: number, min: number, max: number): number => Math.min(max, Math.max(min, value));

const timeOf = (ms: number, nowMs: number): number => (ms >= 0 && ms <= MAX_TIME_MS ? ms : nowMs);

function samePhase(a: ContainerPhase, b: ContainerPhase): boolean {
  if (a.kind !== b.kind) return false;
  return !("pid" in a) || !("pid" in b) || a.pid === b.pid;
}
