/**
 * Joins a container's init from an offset, even one that the guest has dropped: the log has those bytes.
 *
 * The guest drops a byte only after it is in the file, because the log's follower is one of the holders. So if the guest does
 * not hold an offset, a second attach from its oldest byte holds the rest, the file has everything before, and there is no gap
 * between the two. Only bytes that were rotated away are lost.
 */
import { hasReason, invalidField, PaddockError } from "@paddock/domain";
import type { AgentClient } from "../agent/connect-agent.ts";
import { type AttachPoint, attachProcess } from "../agent/process-call.ts";
import type { OutputName, ProcessEvent } from "../agent/process-output.ts";
import type { ContainerLog } from "../logs/container-log.ts";
import { decodeRun } from "../logs/log-record.ts";
import { recordsForward } from "../logs/log-records.ts";
import type { Call } from "./process-stream.ts";

type Started = Extract<ProcessEvent, { kind: "started" }>;

const NAMES: readonly OutputName[] = ["stdout", "stderr"];

/** Events from `point` on. Throws OFFSET_NOT_HELD (`earliest_offset`) when neither the guest nor the log has them. */
export async function* attachInit(
  agent: AgentClient,
  point: AttachPoint,
  call: Call,
  log: ContainerLog,
): AsyncGenerator<ProcessEvent> {
  try {
    yield* attachProcess(agent, point, call);
    return;
  } catch (error) {
    if (!hasReason(error, "OFFSET_NOT_HELD")) throw error;
  }
  const { containerId, execId } = point;
  const live = attachProcess(agent, { containerId, execId }, call);
  for await (const event of live) {
    if (event.kind !== "started") {
      yield event;
      continue;
    }
    const from = {
      stdout: point.stdout ?? event.offsets.stdout,
      stderr: point.stderr ?? event.offsets.stderr,
    };
    yield { ...event, offsets: from };
    yield* fromLog(log, from, event, call.signal);
  }
}

/** The bytes of each stream from `wanted` up to the guest's first byte, in the order in which they were written. */
async function* fromLog(
  log: ContainerLog,
  wanted: Readonly<Record<OutputName, number>>,
  { offsets: until, execId }: Started,
  signal: AbortSignal,
): AsyncGenerator<ProcessEvent> {
  const next = { ...wanted };
  const missing = () => NAMES.find((name) => next[name] < until[name]);
  if (missing() === undefined) throw beyondEnd(execId);
  // The follower acknowledges only what is in the file, so the file is complete; without a follower the log does not change.
  let run = "";
  for await (const { kind, offset, payload } of recordsForward(log, { signal })) {
    if (kind === "run") {
      run = decodeRun(payload)?.runId ?? run;
      continue;
    }
    if (run !== log.runId || next[kind] >= until[kind]) continue;
    if (offset > next[kind]) {
      if (next[kind] === wanted[kind]) throw notHeld(execId, kind, next[kind], offset);
      yield { kind: "gap", stream: kind, from: next[kind], to: offset };
      next[kind] = offset;
    }
    if (offset + payload.length <= next[kind]) continue;
    const data = payload.subarray(next[kind] - offset, until[kind] - offset);
    yield { kind: "chunk", stream: kind, offset: next[kind], data };
    next[kind] += data.length;
    if (missing() === undefined) return;
  }
  const name = missing();
  if (name !== undefined) throw notHeld(execId, name, next[name], until[name]);
}

const notHeld = (execId: string, stream: OutputName, wanted: number, earliest: number): PaddockError =>
  new PaddockError(
    "OFFSET_NOT_HELD",
    `offset ${wanted} of ${stream} of process ${execId} is no longer kept`,
    {
      metadata: { stream, earliest_offset: String(earliest) },
      hint: `attach from ${earliest}, or leave the offset out; the container's log policy can keep more`,
    },
  );

const beyondEnd = (execId: string): PaddockError =>
  invalidField(
    "start",
    "must not be beyond the output",
    `the output of process ${execId} ends before the requested offset`,
  );
