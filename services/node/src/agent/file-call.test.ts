import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import fc from "fast-check";
import { FakeAgent } from "../testing/fake-agent.ts";
import { FakeFiles } from "../testing/fake-files.ts";
import { sha256 } from "../testing/file-copies.ts";
import { connectAgent } from "./connect-agent.ts";
import { CopyFromCheck } from "./copy-from-check.ts";
import { type CopyToInput, copyFromGuest, copyToGuest, watchGuestFiles } from "./file-call.ts";

type Read = NonNullable<MessageInitShape<typeof agentpb.CopyFromResponseSchema>["message"]>;
type Write = NonNullable<MessageInitShape<typeof agentpb.CopyToResponseSchema>["message"]>;
type Watched = NonNullable<MessageInitShape<typeof agentpb.WatchFilesResponseSchema>["message"]>;

const OPTIONS = { signal: new AbortController().signal, isSuspended: () => false };
const DATA = Buffer.from("four");
const DIGEST = sha256(DATA);
const FILE = { containerId: "c1", path: "/f", format: agentpb.CopyFormat.FILE };

/** An agent with a fake guest's files. */
async function guest() {
  await using undo = new AsyncDisposableStack();
  const files = new FakeFiles();
  const fake = undo.use(await FakeAgent.start({ routes: files.routes }));
  const agent = undo.use(await connectAgent({ socketPath: fake.socketPath, deadlineMs: 5000 }));
  const made = undo.move();
  return { files, agent, [Symbol.asyncDispose]: () => made.disposeAsync() };
}

async function all<T>(events: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = [];
  for await (const event of events) taken.push(event);
  return taken;
}

async function* sent(): AsyncGenerator<CopyToInput> {
  yield { case: "chunk", value: { offset: 0n, data: DATA } };
  yield { case: "eof", value: { totalBytes: 4n, sha256: DIGEST } };
}

/** Expects GUEST_FAILED. */
const broken = (error: unknown, why: string) => {
  assert.ok(error instanceof PaddockError && error.reason === "GUEST_FAILED", `${why}: ${error}`);
  return true;
};

test("a guest that breaks the order, the offsets or the sizes of a read ends it with GUEST_FAILED", async () => {
  await using on = await guest();
  const started: Read = { case: "started", value: {} };
  const chunk = (offset: number, bytes: number): Read => ({
    case: "chunk",
    value: { offset: BigInt(offset), data: new Uint8Array(bytes) },
  });
  const end = (totalBytes: number, digest = DIGEST): Read => ({
    case: "end",
    value: { totalBytes: BigInt(totalBytes), sha256: digest },
  });
  const lies: readonly Read[][] = [
    [],
    [chunk(0, 1)],
    [end(0)],
    [started],
    [started, started],
    [started, chunk(1, 1)],
    [started, chunk(0, 1), chunk(0, 1)],
    [started, chunk(0, 1), chunk(2, 1)],
    [started, chunk(0, 0)],
    [started, chunk(0, 256 * 1024 + 1)],
    [started, chunk(0, 5), end(4)],
    [started, end(0, DIGEST.subarray(1))],
    [started, end(0), end(0)],
    [started, { case: undefined }],
  ];
  for (const [index, each] of lies.entries()) {
    on.files.reads.lies = each;
    await assert.rejects(all(copyFromGuest(on.agent, { ...FILE, offset: 0n }, OPTIONS)), (error) =>
      broken(error, `lie ${index}`),
    );
  }
  on.files.reads.lies = [started, chunk(7, 1), end(8)];
  assert.equal((await all(copyFromGuest(on.agent, { ...FILE, offset: 7n }, OPTIONS))).length, 3);
});

test("a guest that breaks the order, the offsets or the end of a write ends it with GUEST_FAILED", async () => {
  await using on = await guest();
  const started = (offset = 0): Write => ({ case: "started", value: { offset: BigInt(offset) } });
  const ack = (offset: number): Write => ({ case: "ack", value: { offset: BigInt(offset) } });
  const end = (totalBytes = 4, digest = DIGEST): Write => ({
    case: "end",
    value: { totalBytes: BigInt(totalBytes), sha256: digest },
  });
  const lies: readonly Write[][] = [
    [],
    [ack(1)],
    [end()],
    [started()],
    [started(1)],
    [started(), started()],
    [started(), ack(0)],
    [started(), ack(2 ** 40)],
    [started(), end(2 ** 40)],
    [started(), { case: undefined }],
  ];
  for (const [index, each] of lies.entries()) {
    on.files.writes.lies = each;
    const start = { ...FILE, transferId: `t${index}`, resume: false };
    await assert.rejects(all(copyToGuest(on.agent, start, sent(), OPTIONS)), (error) =>
      broken(error, `lie ${index}`),
    );
  }
});

test("a guest that continues a write acknowledges what it has taken, and may have ended the write before", async () => {
  await using on = await guest();
  const MIB = 1024 * 1024;
  const waiting: AsyncIterable<CopyToInput> = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
  };
  const offset = (kind: "started" | "ack", value: number): Write => ({
    case: kind,
    value: { offset: BigInt(value) },
  });
  const resumed = (...said: Write[]) => {
    on.files.writes.lies = [offset("started", 2 * MIB), ...said];
    return all(copyToGuest(on.agent, { ...FILE, transferId: "t", resume: true }, waiting, OPTIONS));
  };
  const end: Write = { case: "end", value: { totalBytes: BigInt(2 * MIB), sha256: DIGEST } };
  const events = await resumed(offset("ack", MIB), offset("ack", 2 * MIB), end);
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ["started", "ack", "ack", "end"],
  );
  for (const acks of [[MIB - 1], [MIB, MIB], [2 * MIB + 1]])
    await assert.rejects(resumed(...acks.map((each) => offset("ack", each))), (error) =>
      broken(error, `${acks}`),
    );
});

test("a guest that names files outside a watched directory, or ends a watch, ends it with GUEST_FAILED", async () => {
  await using on = await guest();
  const started: Watched = { case: "started", value: {} };
  const change = (path: string, kind = 1): Watched => ({ case: "change", value: { path, kind } });
  const lies = ["/etc", "..", "a/../..", "a//b", "./a", "a/", "x".repeat(4097)].map((path) => [
    started,
    change(path),
  ]);
  for (const each of [
    ...lies,
    [change("a")],
    [started, started],
    [started, change("a", 9)],
    [started, change("a", 0)],
  ]) {
    on.files.watches.lies = each;
    await assert.rejects(all(watchGuestFiles(on.agent, { containerId: "c1", path: "/" }, OPTIONS)), (error) =>
      broken(error, JSON.stringify(each).slice(0, 80)),
    );
  }
});

test("warnings of a guest are at most 100 lines of at most 400 characters, without control characters", async () => {
  await using on = await guest();
  const warnings = Array.from({ length: 120 }, () => `\u001b[2J${"x".repeat(900)}\n`);
  on.files.reads.lies = [
    { case: "started", value: {} },
    { case: "end", value: { totalBytes: 0n, sha256: DIGEST, warnings } },
  ];
  const events = await all(copyFromGuest(on.agent, { ...FILE, offset: 0n }, OPTIONS));
  const last = events.at(-1);
  assert.ok(last?.kind === "end");
  assert.equal(last.result.warnings.length, 100);
  for (const warning of last.result.warnings) assert.match(warning, /^[^\p{Cc}]{1,400}$/u);
});

test("a guest that sends nothing for too long is GUEST_UNAVAILABLE, unless its VM is paused or its client is slow", async () => {
  await using on = await guest();
  on.files.write("/f", Buffer.alloc(3 * 256 * 1024));
  on.files.reads.stop(true);
  let isPaused = true;
  const options = { ...OPTIONS, answerMs: 40, isSuspended: () => isPaused };
  const events = copyFromGuest(on.agent, { ...FILE, offset: 0n }, options);
  assert.equal((await events.next()).value?.kind, "started");
  const next = events.next();
  await new Promise((resolve) => setTimeout(resolve, 120));
  on.files.reads.stop(false);
  assert.equal((await next).value?.kind, "chunk");
  isPaused = false;
  on.files.reads.stop(true);
  // The client reads nothing for three times the limit.
  await new Promise((resolve) => setTimeout(resolve, 120));
  await assert.rejects(all(events), (error) => {
    assert.ok(error instanceof PaddockError && error.reason === "GUEST_UNAVAILABLE", String(error));
    return /did not continue with the files within 40 ms/.test(error.message);
  });
  on.files.writes.isTaking = false;
  const write = copyToGuest(on.agent, { ...FILE, transferId: "t", resume: false }, sent(), options);
  await assert.rejects(all(write), { reason: "GUEST_UNAVAILABLE" });
});

test("whatever a guest sends, a client gets adjacent bytes and an end that counts them, or GUEST_FAILED", () => {
  const message = fc.oneof(
    fc.constant({ case: "started" as const, value: {} }),
    fc.record({ offset: fc.nat(9), bytes: fc.nat(3) }).map(({ offset, bytes }) => ({
      case: "chunk" as const,
      value: { offset: BigInt(offset), data: new Uint8Array(bytes) },
    })),
    fc
      .nat(9)
      .map((total) => ({ case: "end" as const, value: { totalBytes: BigInt(total), sha256: DIGEST } })),
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), (said) => {
      const check = new CopyFromCheck(0n);
      let bytes = 0n;
      try {
        for (const each of said) {
          const event = check.take(create(agentpb.CopyFromResponseSchema, { message: each }));
          if (event.kind === "chunk") {
            assert.equal(event.offset, bytes);
            bytes += BigInt(event.data.length);
          }
          if (event.kind === "end") assert.equal(event.result.totalBytes, bytes);
        }
        check.close();
      } catch (error) {
        broken(error, JSON.stringify(said.map((each) => each.case)));
      }
    }),
    { numRuns: 500 },
  );
});
