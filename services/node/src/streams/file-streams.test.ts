import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { agentpb, CopyFormat } from "@paddock/protocol";
import { FakeFiles } from "../testing/fake-files.ts";
import { patternBytes } from "../testing/fake-process.ts";
import { chunkOf, copyIn, copyOut, eofOf, startOf } from "../testing/file-copies.ts";
import {
  CONTAINER,
  execStart,
  MACHINE,
  receive,
  SANDBOX,
  type TestBed,
  testBed,
} from "../testing/stream-test-bed.ts";

const MIB = 1024 * 1024;
const CHUNK = 256 * 1024;
const AT = { sandboxId: SANDBOX, containerId: CONTAINER };
const FILE = { ...AT, path: "/f", format: CopyFormat.FILE };
const START = { ...FILE, transferId: "t1" };

/** A test bed whose guest has a file /f of 24 MiB. */
async function bedWithFile(options: Parameters<typeof testBed>[0] = {}) {
  const files = new FakeFiles();
  files.write("/f", patternBytes(0, 24 * MIB));
  const bed = await testBed({ routes: files.routes, ...options });
  return { bed, files, streams: bed.streams, [Symbol.asyncDispose]: () => bed[Symbol.asyncDispose]() };
}

async function drained(call: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of call);
}

/** Resolves when the guest has seen all that was sent before. */
async function settled(bed: TestBed): Promise<void> {
  for (let round = 0; round < 5; round += 1)
    await assert.rejects(copyOut(bed.streams, { ...FILE, path: "/none" }), { reason: "FILE_NOT_FOUND" });
}

/** The value when it no longer changes. */
async function steady(value: () => number): Promise<number> {
  for (let before = -1; before !== value(); ) {
    before = value();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return value();
}

test("a reader that stops stops the guest, and gets all bytes when it continues", async () => {
  await using on = await bedWithFile();
  const responses = on.streams.copyFrom(FILE)[Symbol.asyncIterator]();
  assert.equal((await responses.next()).value?.message.case, "started");
  await settled(on.bed);
  const underWay = await steady(() => on.files.reads.sentBytes);
  assert.ok(underWay < 8 * MIB, `${underWay} bytes are on their way`);
  const pieces: Uint8Array[] = [];
  for (let next = await responses.next(); next.done !== true; next = await responses.next())
    if (next.value.message.case === "chunk") pieces.push(next.value.message.value.data);
  assert.ok(Buffer.concat(pieces).equals(patternBytes(0, 24 * MIB)));
});

test("32 readers that have stopped leave room for a command, and another copy is TOO_MANY", async () => {
  await using on = await bedWithFile({ command: (process) => process.end(0) });
  on.files.write("/f", patternBytes(0, 6 * MIB));
  const open = await Promise.all(
    Array.from({ length: 32 }, async () => {
      const call = on.streams.copyFrom(FILE);
      const responses = call[Symbol.asyncIterator]();
      await responses.next();
      return { call, responses };
    }),
  );
  await assert.rejects(copyOut(on.streams, FILE), (error) => {
    assert.ok(error instanceof PaddockError && error.kind === "resource_exhausted");
    return error.reason === "TOO_MANY";
  });
  await assert.rejects(drained(on.streams.watchFiles({ ...AT, path: "/" })), { reason: "TOO_MANY" });
  const exec = on.streams.exec();
  await exec.write(execStart(["true"]));
  assert.equal((await receive(exec)).cases.at(-1), "exited");
  const [first] = open;
  for (let next = await first?.responses.next(); next?.done === false; next = await first?.responses.next());
  assert.equal((await copyOut(on.streams, FILE)).bytes.length, 6 * MIB);
  for (const { call } of open) call.cancel();
});

test("a guest that takes nothing stops its writer at one window, and gets all bytes when it continues", async () => {
  await using on = await bedWithFile();
  const { writes } = on.files;
  writes.isTaking = false;
  const data = patternBytes(9, 24 * MIB);
  const call = on.streams.copyTo();
  let written = 0;
  // A client without a window of its own.
  const writing = (async () => {
    await call.write(startOf(START));
    for (; written < data.length; written += CHUNK)
      await call.write(chunkOf(written, data.subarray(written, written + CHUNK)));
    await call.write(eofOf(data));
  })();
  const responses = call[Symbol.asyncIterator]();
  await responses.next();
  await steady(() => written);
  assert.equal(writes.mostWaitingBytes, MIB);
  assert.ok(written < 8 * MIB, `${written} bytes are on their way`);
  writes.take();
  for (let next = await responses.next(); next.done !== true; next = await responses.next());
  await writing;
  assert.equal(writes.mostWaitingBytes, MIB);
  assert.ok(on.files.read("/f")?.equals(data));
  assert.deepEqual(on.bed.bugs, []);
});

test("a request that does not follow from those before is INVALID_FIELD, and no file changes", async () => {
  await using on = await bedWithFile();
  const data = Buffer.from("abcd");
  const bad = [
    [chunkOf(1, data)],
    [chunkOf(0, data), chunkOf(0, data)],
    [chunkOf(0, data), eofOf(Buffer.from("abc"))],
    [chunkOf(0, data), eofOf(data), chunkOf(4, data)],
    [chunkOf(0, data), eofOf(data, Buffer.alloc(31))],
    [chunkOf(0, data), eofOf(data), startOf(START)],
    [chunkOf(0, new Uint8Array(CHUNK + 1))],
    [startOf(START)],
    [{}],
    [],
  ];
  for (const [index, requests] of bad.entries()) {
    on.files.writes.isTaking = false;
    const call = on.streams.copyTo();
    await call.write(startOf({ ...START, transferId: `t${index}` }));
    for (const request of requests) await call.write(request).catch(() => undefined);
    if (requests.length <= 1) call.end();
    await assert.rejects(drained(call), { reason: "INVALID_FIELD" }, `case ${index}`);
  }
  assert.equal(on.files.read("/f")?.length, 24 * MIB);
  for (const wrong of [
    { transferId: "" },
    { path: "" },
    { format: CopyFormat.UNSPECIFIED },
    { mode: 0o10000 },
  ]) {
    const call = on.streams.copyTo();
    await call.write(startOf({ ...START, ...wrong }));
    await assert.rejects(drained(call), { reason: "INVALID_FIELD" });
  }
  await assert.rejects(copyOut(on.streams, { ...FILE, format: CopyFormat.UNSPECIFIED }), {
    reason: "INVALID_FIELD",
  });
});

test("an empty chunk changes nothing, and a full disk is DISK_FULL", async () => {
  await using on = await bedWithFile();
  const call = on.streams.copyTo();
  for (const request of [
    startOf(START),
    chunkOf(0, Buffer.alloc(0)),
    chunkOf(0, Buffer.from("x")),
    eofOf(Buffer.from("x")),
  ])
    await call.write(request);
  await drained(call);
  assert.equal(on.files.read("/f")?.toString(), "x");
  on.files.writes.roomBytes = MIB;
  await assert.rejects(copyIn(on.streams, { ...START, transferId: "t2" }, Buffer.alloc(4 * MIB)), (error) => {
    assert.ok(error instanceof PaddockError && error.kind === "resource_exhausted");
    return error.reason === "DISK_FULL";
  });
});

test("a write that had ended when its stream broke is answered with its end", async () => {
  await using on = await bedWithFile();
  const data = Buffer.from("whole");
  await copyIn(on.streams, START, data);
  const end = await copyIn(on.streams, { ...START, resume: true }, data);
  assert.equal(end.totalBytes, 5n);
});

test("a read that needs a byte which is no longer kept says which is the earliest", async () => {
  await using on = await bedWithFile();
  const request = { ...FILE, transferId: "t1" };
  await copyOut(on.streams, request);
  await assert.rejects(copyOut(on.streams, { ...request, offset: 1n }), (error) => {
    assert.ok(error instanceof PaddockError && error.reason === "OFFSET_NOT_HELD");
    return error.metadata.earliest_offset === String(20 * MIB);
  });
});

test("a watch ends with its client, and one that reads nothing keeps little", async () => {
  await using on = await bedWithFile();
  const call = on.streams.watchFiles({ ...AT, path: "/" });
  const messages = call[Symbol.asyncIterator]();
  assert.equal((await messages.next()).value?.message.case, "started");
  for (let count = 0; count < 5000; count += 1)
    on.files.watches.tell(`/${count}`.padEnd(250, "x"), agentpb.FileChangeKind.CREATED, false);
  let missed = false;
  while (!missed) {
    const message = (await messages.next()).value?.message;
    assert.ok(message?.case === "change" || message?.case === "missed");
    missed = message.case === "missed";
  }
  call.cancel();
  await assert.rejects(drained({ [Symbol.asyncIterator]: () => messages }), { reason: "CANCELLED" });
  await settled(on.bed);
  assert.equal(on.files.watches.open, 0);
});

test("the end of a VM ends copies and watches with the recorded cause, and a lost link as GUEST_UNAVAILABLE", async () => {
  const cause = new PaddockError("VM_UNAVAILABLE", "the VM ended", { metadata: { cause: "vm_lost" } });
  await using on = await bedWithFile();
  on.files.writes.isTaking = false;
  const open = async () => {
    const write = on.streams.copyTo();
    await write.write(startOf(START));
    const calls = [on.streams.copyFrom(FILE), on.streams.watchFiles({ ...AT, path: "/" }), write];
    const all = calls.map((call): AsyncIterator<unknown> => call[Symbol.asyncIterator]());
    for (const each of all) await each.next();
    return all.map((each) => drained({ [Symbol.asyncIterator]: () => each }));
  };
  const first = await open();
  on.bed.fake.dropLink();
  await Promise.all(first.map((each) => assert.rejects(each, { reason: "GUEST_UNAVAILABLE" })));
  const second = await open();
  on.bed.link.close(cause);
  await Promise.all(second.map((each) => assert.rejects(each, { reason: "VM_UNAVAILABLE" })));
});

test("streams of files need a sandbox that is ready or running", async () => {
  await using on = await bedWithFile();
  on.bed.sandboxPhase = { kind: "paused", machine: MACHINE, startedAtMs: 1 };
  const refused = { reason: "WRONG_STATE" };
  await assert.rejects(copyOut(on.streams, FILE), refused);
  await assert.rejects(copyIn(on.streams, START, Buffer.alloc(1)), refused);
  await assert.rejects(drained(on.streams.watchFiles({ ...AT, path: "/" })), refused);
  on.bed.sandboxPhase = { kind: "ready", machine: MACHINE };
  assert.equal((await copyOut(on.streams, FILE)).bytes.length, 24 * MIB);
});
