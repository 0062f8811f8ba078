import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AgentLink } from "../agent/agent-link.ts";
import { FakeAgent } from "../testing/fake-agent.ts";
import { patternBytes } from "../testing/fake-process.ts";
import { ContainerLog } from "./container-log.ts";
import { LogFollower } from "./log-follower.ts";
import type { LogStream } from "./log-record.ts";
import { type LogPiece, readLog } from "./read-log.ts";

const MIB = 1024 * 1024;
const LIMITS = { maxFileBytes: 64 * MIB, maxFiles: 2 };
const never = new AbortController().signal;

async function bed() {
  const stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "paddock-follow-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const fake = stack.use(await FakeAgent.start());
  const link = stack.use(new AgentLink({ socketPath: fake.socketPath, pauseMs: { first: 1, longest: 20 } }));
  return { directory, fake, link, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function stdout(log: ContainerLog): Promise<Buffer> {
  const pieces: LogPiece[] = [];
  const streams: readonly LogStream[] = ["stdout"];
  for await (const piece of readLog(log, { streams, follow: false, signal: never })) pieces.push(piece);
  let next = 0;
  for (const { offset, data } of pieces) {
    assert.equal(offset, next);
    next += data.length;
  }
  return Buffer.concat(pieces.map(({ data }) => data));
}

test("all output of an init is in the log and acknowledged when it has exited", async () => {
  await using each = await bed();
  const process = each.fake.add("c", "c", 256 * 1024);
  process.writeStdout(5 * MIB);
  process.end(0);
  const log = await ContainerLog.open({ directory: each.directory, limits: LIMITS });
  await new LogFollower({ link: each.link, containerId: "c", log, runId: "r" }).ended;
  assert.ok((await stdout(log)).equals(patternBytes(0, 5 * MIB)));
  assert.equal(log.finished, true);
  await log.close();
});

test("broken links and restarted daemons lose and repeat nothing", async () => {
  await using each = await bed();
  const process = each.fake.add("c", "c", 256 * 1024);
  process.writeStdout(8 * MIB);
  process.end(0);
  for (let daemon = 0; daemon < 3; daemon += 1) {
    const log = await ContainerLog.open({ directory: each.directory, limits: LIMITS });
    const follower = new LogFollower({ link: each.link, containerId: "c", log, runId: "r" });
    while (log.offsets.stdout < (daemon + 1) * 2 * MIB) {
      const before = log.offsets.stdout;
      await log.changes.next(never);
      if (before % MIB > log.offsets.stdout % MIB) each.fake.dropLink();
    }
    await follower.stop();
    await log.close();
  }
  const log = await ContainerLog.open({ directory: each.directory, limits: LIMITS });
  await new LogFollower({ link: each.link, containerId: "c", log, runId: "r" }).ended;
  assert.ok((await stdout(log)).equals(patternBytes(0, 8 * MIB)));
  assert.ok(each.fake.connections > 3);
  await log.close();
});

test("a log that cannot be written makes the process wait, but not a stop of the follower", async () => {
  await using each = await bed();
  const process = each.fake.add("c", "c", 64 * 1024);
  process.writeStdout(64 * MIB);
  const refused = Promise.withResolvers<void>();
  const directory = join(each.directory, "log");
  const log = await ContainerLog.open({
    directory,
    limits: { maxFileBytes: 64 * 1024, maxFiles: 2 },
    onProblem: () => refused.resolve(),
  });
  await log.beginRun("r");
  // The next file cannot be created: the directory is removed.
  await rm(directory, { recursive: true });
  const follower = new LogFollower({ link: each.link, containerId: "c", log, runId: "r" });
  await refused.promise;
  assert.ok(process.stdout.end <= 2 * 64 * 1024);
  await follower.stop();
  await log.close();
});

test("an init that the guest does not know ends the following", async () => {
  await using each = await bed();
  const log = await ContainerLog.open({ directory: each.directory, limits: LIMITS });
  await new LogFollower({ link: each.link, containerId: "c", log, runId: "r" }).ended;
  assert.equal(log.finished, true);
  await log.close();
});

test("bytes that the guest has dropped leave a reported hole in the log, and it continues", async () => {
  await using each = await bed();
  const process = each.fake.add("c", "c", 64 * 1024);
  process.writeStdout(MIB);
  process.stdout.released = 500_000;
  process.end(0);
  const problems: unknown[] = [];
  const log = await ContainerLog.open({ directory: each.directory, limits: LIMITS });
  const onProblem = (problem: unknown) => problems.push(problem);
  await new LogFollower({ link: each.link, containerId: "c", log, runId: "r", onProblem }).ended;
  assert.deepEqual(log.offsets, { stdout: MIB, stderr: 0 });
  assert.equal(problems.length, 1);
  await log.close();
});
