import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import {
  ContainerState,
  type Event,
  type EventSchema,
  EventService,
  SandboxState,
  StopCause,
  type WatchRequest,
  type WatchResponseSchema,
} from "@paddock/protocol";
import { cli, startCli } from "../testing/run-in-process.ts";

type Response = MessageInitShape<typeof WatchResponseSchema>;
type EventInit = Exclude<MessageInitShape<typeof EventSchema>, Event>;

const event = (
  sequence: number,
  change: NonNullable<EventInit["change"]>,
  rest: Partial<EventInit> = {},
): Response => ({
  resumeToken: `t${sequence}`,
  event: {
    eventId: `e${sequence}`,
    time: { seconds: BigInt(sequence), nanos: 0 },
    nodeId: "n1",
    sandboxId: "web",
    sequence: BigInt(sequence),
    ...rest,
    change,
  },
});
const bookmark = (token: string): Response => ({ resumeToken: token });
const ready = (sequence: number) => event(sequence, { case: "sandboxState", value: SandboxState.READY });

const STORY: readonly Response[] = [
  event(1, { case: "sandboxState", value: SandboxState.RUNNING }),
  event(2, { case: "containerState", value: ContainerState.RUNNING }, { containerId: "main" }),
  event(
    3,
    { case: "processExited", value: { code: 3 } },
    { containerId: "main", execId: "job", cause: StopCause.EXITED },
  ),
  event(4, { case: "oom", value: { oomKillCount: 1n } }, { containerId: "main", cause: StopCause.GUEST_OOM }),
  event(
    5,
    { case: "processExited", value: { code: 137, signal: 9, oomKilled: true } },
    { containerId: "main", execId: "main", cause: StopCause.GUEST_OOM },
  ),
  event(6, { case: "health", value: { healthy: false, detail: "silence\x1b[2J" } }),
  event(7, { case: "sandboxState", value: SandboxState.STOPPED }, { cause: StopCause.VM_LOST }),
  event(8, { case: "sandboxState", value: SandboxState.STOPPED }, { cause: StopCause.REQUESTED }),
  bookmark("t9"),
];

test("events are lines of time, place and change, and --no-follow ends after the last event", async () => {
  await using api = await FakeApi.start();
  api.serverStream(EventService.method.watch, async function* () {
    yield* STORY;
    await new Promise(() => {});
  });
  const { code, out } = await cli(api, ["events", "--no-follow", "--since-token", "t0"]);
  assert.equal(code, 0);
  assert.deepEqual(
    out.split("\n").map((line) => line.replace(/^1970-01-01T00:00:0\d\.000Z /, "")),
    [
      "web sandbox up",
      "web/main container up",
      "web/main/job exec exited with 3",
      "web/main out of memory, 1 killed so far",
      "web/main init was killed by signal 9, out of memory",
      "web guest does not answer: silence\\x1b[2J",
      "web sandbox stopped, VM lost",
      "web sandbox stopped, as requested",
      "",
    ],
  );
});

test("the options reach the api, and -o json prints one response a line, with its token", async () => {
  await using api = await FakeApi.start();
  const asked: WatchRequest[] = [];
  api.serverStream(EventService.method.watch, async function* (request) {
    asked.push(request);
    yield* [ready(1), bookmark("t2")];
  });
  const words = ["events", "--no-follow", "--since-token", "t0", "--sandbox", "web", "-o", "json"];
  const { out } = await cli(api, words);
  const lines = out.trim().split("\n");
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).resumeToken),
    ["t1", "t2"],
  );
  assert.equal(JSON.parse(lines[0] ?? "").event.sandboxState, "SANDBOX_STATE_READY");
  assert.equal(asked[0]?.resumeToken, "t0");
  assert.equal(asked[0]?.sandboxId, "web");
});

test("events are followed by default, and a broken connection is resumed after the last response", async () => {
  await using api = await FakeApi.start();
  const asked: string[] = [];
  api.serverStream(EventService.method.watch, async function* ({ resumeToken }) {
    asked.push(resumeToken);
    if (asked.length === 1) yield* [bookmark("t0"), ready(1)];
    else yield* [ready(2), bookmark("t2")];
    await new Promise(() => {});
  });
  const run = startCli(api, ["events", "-q"]);
  await run.shows("00:00:01");
  api.cut();
  await run.shows("00:00:02");
  run.signals.emit("SIGINT", "SIGINT");
  assert.equal(await run.exit, 130);
  assert.equal(run.out().trim().split("\n").length, 2);
  assert.deepEqual(asked, ["", "t1"]);
});

test("each event is printed once and in order, even if connections break or streams end at any event", async () => {
  await using api = await FakeApi.start();
  const last = 30;
  const started = Promise.withResolvers<ReturnType<typeof startCli>>();
  api.serverStream(EventService.method.watch, async function* ({ resumeToken }) {
    const run = await started.promise;
    for (let next = Number(resumeToken.slice(1)) + 1; next <= last; next += 1) {
      yield ready(next);
      if (next % 7 !== 0) continue;
      // Some later events may be in flight when the connection breaks, and may be sent again.
      await run.shows(`"t${next - 3}"`);
      if (next % 2 === 1) api.cut();
      return;
    }
    yield bookmark(`t${last}`);
    await new Promise(() => {});
  });
  const run = startCli(api, ["events", "-q", "--no-follow", "--since-token", "t0", "-o", "json"]);
  started.resolve(run);
  assert.equal(await run.exit, 0);
  const reported = run
    .out()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).event?.sequence);
  assert.deepEqual(reported, [...Array.from({ length: last }, (_, i) => String(i + 1)), undefined]);
  assert.ok(api.calls.length >= 5, `${api.calls.length} connections`);
});

test("--since is a time, a span or a token, and --no-follow alone prints all events that are kept", async () => {
  await using api = await FakeApi.start();
  const asked: WatchRequest[] = [];
  api.serverStream(EventService.method.watch, async function* (request) {
    asked.push(request);
    yield bookmark("t1");
  });
  const token = "1MjAyNi0wMS0zMVQxMjowMDowMFogMQ";
  for (const since of [["--since", "2026-01-31T12:00:00Z"], ["--since", "10m"], ["--since", token], []])
    assert.equal((await cli(api, ["events", "--no-follow", ...since])).code, 0);
  const seconds = asked.map(({ since }) => since && Number(since.seconds));
  assert.equal(seconds[0], Date.parse("2026-01-31T12:00:00Z") / 1000);
  assert.ok(Math.abs(Date.now() / 1000 - 600 - (seconds[1] ?? 0)) < 60);
  assert.deepEqual([asked[2]?.resumeToken, asked[2]?.since], [token, undefined]);
  assert.deepEqual([seconds[3], asked[3]?.resumeToken], [0, ""]);
  assert.equal((await cli(api, ["events", "--since", "soon"])).code, 2);
});

test("--until ends at a past time, and at a future time even if nothing happens", async () => {
  await using api = await FakeApi.start();
  api.serverStream(EventService.method.watch, async function* () {
    yield* [ready(1), ready(2), ready(3), bookmark("t3")];
    await new Promise(() => {});
  });
  const was = await cli(api, ["events", "--until", "1970-01-01T00:00:02Z"]);
  assert.deepEqual([was.code, was.out.trim().split("\n").length], [0, 2]);
  const soon = await cli(api, ["events", "--until", new Date(Date.now() + 2000).toISOString()]);
  assert.deepEqual([soon.code, soon.out.trim().split("\n").length, soon.err], [0, 3, ""]);
});

test("events that are no longer kept are an error with a hint", async () => {
  await using api = await FakeApi.start();
  api.serverStream(EventService.method.watch, async function* () {
    yield* [];
    throw new PaddockError("EVENTS_NOT_HELD", "cannot go on", { hint: "list what there is" });
  });
  const { code, err } = await cli(api, ["events", "--since-token", "old"]);
  assert.equal(code, 1);
  assert.match(err, /cannot watch the events: cannot go on/);
  assert.match(err, /hint: list what there is/);
});

test("an invalid sandbox id is refused before any call", async () => {
  await using api = await FakeApi.start();
  const { code } = await cli(api, ["events", "--sandbox", "a/b"]);
  assert.equal(code, 2);
  assert.deepEqual(api.calls, []);
});
