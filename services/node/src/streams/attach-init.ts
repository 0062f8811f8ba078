/**
 * Joins a container's init from an offset, also from one the guest has let go of: those bytes are in the log.
 *
 * The guest lets go of a byte only when it is in the file, as the log's follower is one of the holders. So when the guest says
 * that it does not hold an offset, a second attach from the oldest byte it has pins the rest, the file has everything
 * before, and going over from one to the other leaves no gap. Only bytes that were rotated away are lost.
 */
import { PaddockError } from "@paddock/domain";
import type { AgentClient } from "../agent/connect-agent.ts";
import { type AttachPoint, attachProcess } from "../agent/process-call.ts";
import type { OutputName, ProcessEvent } from "../agent/process-output.ts";
import type { ContainerLog } from "../logs/container-log.ts";
import { decodeRun } from "../logs/log-record.ts";
import { recordsForward } from "../logs/log-records.ts";
import type { Call } from "./process-stream.ts";

type Started = Extract<ProcessEvent, { kind: "started" }>;

const NAMES: readonly OutputName[] = ["stdout", "stderr"];

/** Events from `point` on. Throws OFFSET_NOT_HELD (`earliest_offset`) when neither guest nor log has them. */
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
    if (!(error instanceof PaddockError) || error.reason !== "OFFSET_NOT_HELD") throw error;
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

/** The bytes of each stream from `wanted` up to where the guest begins, in the order they were written. */
async function* fromLog(
  log: ContainerLog,
  wanted: Readonly<Record<OutputName, number>>,
  { offsets: until, execId }: Started,
  signal: AbortSignal,
): AsyncGenerator<ProcessEvent> {
  const next = { ...wanted };
  const missing = () => NAMES.find((name) => next[name] < until[name]);
  if (missing() === undefined) throw beyondEnd(execId);
  // The follower acknowledges what is in the file, so all of it is there; a container that is not followed has a log as it was.
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
    `offset ${wanted} of ${stream} of process ${execId} is not held any more`,
    {
      metadata: { stream, earliest_offset: String(earliest) },
      hint: `attach from ${earliest}, or leave the offset out; keep more by the container's log policy`,
    },
  );

const beyondEnd = (execId: string): PaddockError =>
  new PaddockError("INVALID_FIELD", `process ${execId} has not written as far as the wanted offset`, {
    violations: [{ field: "start", description: "an offset must not be beyond what was written" }],
  });
