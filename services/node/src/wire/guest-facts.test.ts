import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { agentpb } from "@paddock/protocol";
import { containerOf, type SandboxRecord } from "../record/sandbox-record.ts";
import { recordOf } from "../testing/record-of.ts";
import { afterGuestEvent, afterGuestList, exitRecordOf } from "./guest-facts.ts";

const context = { nowMs: 5000, stopRequested: () => false };
const running: SandboxRecord = recordOf("s1", { kind: "running", pid: 7, startedAtMs: 1000 });

const exited = (status: object, containerId = "c1", execId = containerId) =>
  create(agentpb.WatchEventsResponseSchema, {
    sequence: 9n,
    event: { case: "processExited", value: { containerId, execId, status } },
  });

const phaseOf = (record: SandboxRecord) => containerOf(record, "c1")?.phase;

test("the exit of the init ends the container, with the cause from its status", () => {
  const causes = [
    [{ code: 0 }, "exited"],
    [{ code: 137, signal: 9 }, "signalled"],
    [{ code: 137, signal: 9, oomKilled: true }, "guest_oom"],
  ] as const;
  for (const [status, cause] of causes) {
    const after = afterGuestEvent(running, exited(status), context);
    const phase = phaseOf(after);
    assert.equal(phase?.kind === "stopped" && phase.cause, cause);
    assert.equal(after.agentSequence, 9);
  }
});

test("an end that a client requested has the cause REQUESTED and the guest's status", () => {
  const after = afterGuestEvent(running, exited({ code: 143, signal: 15 }), {
    ...context,
    stopRequested: () => true,
  });
  const phase = phaseOf(after);
  assert.equal(phase?.kind === "stopped" && phase.cause, "requested");
  assert.equal(phase?.kind === "stopped" && phase.exit?.signal, 15);
});

test("the end of an exec, of an unknown container, or of an ended container changes nothing", () => {
  assert.equal(afterGuestEvent(running, exited({ code: 1 }, "c1", "e1"), context), running);
  assert.equal(afterGuestEvent(running, exited({ code: 1 }, "other"), context), running);
  const ended = afterGuestEvent(running, exited({ code: 1 }), context);
  assert.equal(afterGuestEvent(ended, exited({ code: 2 }), context), ended);
});

test("reports about an earlier container of the same id change nothing", () => {
  const earlier = { containerId: "c1", instance: "i0" };
  const status = { code: 1 };
  const end = create(agentpb.WatchEventsResponseSchema, {
    sequence: 9n,
    event: { case: "processExited", value: { ...earlier, execId: "c1", status } },
  });
  assert.equal(afterGuestEvent(running, end, context), running);
  const oom = create(agentpb.WatchEventsResponseSchema, {
    event: { case: "containerOom", value: { ...earlier, oomKillCount: 1n } },
  });
  assert.equal(afterGuestEvent(running, oom, context), running);
  const listed = { ...earlier, state: agentpb.ContainerState.STOPPED, exitStatus: status };
  assert.equal(afterGuestList(running, [create(agentpb.ContainerSchema, listed)], context), running);
  const present = { ...listed, instance: "i1" };
  const after = afterGuestList(running, [create(agentpb.ContainerSchema, present)], context);
  assert.equal(phaseOf(after)?.kind, "stopped");
});

test("an ended container stays ended, regardless of the guest's list", () => {
  const ended = afterGuestEvent(running, exited({ code: 1 }), context);
  const listed = create(agentpb.ContainerSchema, {
    containerId: "c1",
    state: agentpb.ContainerState.RUNNING,
    pid: 8,
  });
  assert.equal(phaseOf(afterGuestList(ended, [listed], context))?.kind, "stopped");
});

test("a list without news changes nothing, not even the version of the record", () => {
  const listed = create(agentpb.ContainerSchema, {
    containerId: "c1",
    state: agentpb.ContainerState.RUNNING,
    pid: 7,
  });
  assert.equal(afterGuestList(running, [listed], context), running);
});

test("the number of OOM kills never decreases", () => {
  const oom = (count: bigint) =>
    create(agentpb.WatchEventsResponseSchema, {
      sequence: 1n,
      event: { case: "containerOom", value: { containerId: "c1", oomKillCount: count } },
    });
  const twice = afterGuestEvent(running, oom(2n), context);
  assert.equal(containerOf(twice, "c1")?.oomKillCount, 2);
  assert.equal(afterGuestEvent(twice, oom(1n), context), twice);
  assert.equal(afterGuestEvent(running, oom(2n ** 63n), context), running);
});

test("numbers and texts of a hostile guest are bounded", () => {
  const status = create(agentpb.ExitStatusSchema, {
    code: -5,
    signal: 99999,
    reason: `\x1b[2J${"x".repeat(10_000)}`,
    exitedAt: timestampFromMs(-1),
  });
  const exit = exitRecordOf(status, 5000);
  assert.equal(exit.code, 0);
  assert.equal(exit.signal, 64);
  assert.equal(exit.exitedAtMs, 5000);
  assert.equal(exit.reason.length, 256);
  assert.match(exit.reason, /^[ -~]*$/);
});
