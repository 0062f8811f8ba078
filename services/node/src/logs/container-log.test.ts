import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, open, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import fc from "fast-check";
import { ContainerLog } from "./container-log.ts";
import { logFilePath } from "./log-files.ts";
import type { LogStream } from "./log-record.ts";
import { type LogPiece, type LogSelection, readLog } from "./read-log.ts";

const run = promisify(execFile);
const LIMITS = { maxFileBytes: 1 << 20, maxFiles: 3 };
const never = new AbortController().signal;
const ALL: LogSelection = { streams: ["stdout", "stderr"], follow: false, signal: never };

async function directory() {
  const path = await mkdtemp(join(tmpdir(), "paddock-log-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function collect(log: ContainerLog, selection: Partial<LogSelection> = {}): Promise<LogPiece[]> {
  return await Array.fromAsync(readLog(log, { ...ALL, ...selection }));
}

const text = (pieces: readonly LogPiece[], stream?: LogStream): string =>
  Buffer.concat(
    pieces.filter((each) => stream === undefined || each.stream === stream).map(({ data }) => data),
  ).toString();

async function write(log: ContainerLog, stream: LogStream, data: string | Buffer): Promise<void> {
  await log.append(stream, log.offsets[stream], Buffer.from(data));
}

test("bytes of both streams are read as written, with offsets, even NUL bytes and without a newline", async () => {
  await using dir = await directory();
  const log = await ContainerLog.open({ directory: dir.path, limits: LIMITS });
  await log.beginRun("a");
  await write(log, "stdout", "one\0\xff");
  await write(log, "stderr", "two");
  await write(log, "stdout", "three");
  const pieces = await collect(log);
  assert.deepEqual(
    pieces.map(({ stream, offset }) => [stream, offset]),
    [
      ["stdout", 0],
      ["stderr", 0],
      ["stdout", 6],
    ],
  );
  assert.equal(text(pieces), "one\0\xfftwothree");
  assert.equal(text(await collect(log, { streams: ["stderr"] })), "two");
  await log.close();
});

test("a reopened log continues where it was, in the same run, and starts at 0 in another", async () => {
  await using dir = await directory();
  const first = await ContainerLog.open({ directory: dir.path, limits: LIMITS });
  await first.beginRun("a");
  await write(first, "stdout", "12345");
  await write(first, "stderr", "x");
  await first.close();
  const second = await ContainerLog.open({ directory: dir.path, limits: LIMITS });
  assert.deepEqual(await second.beginRun("a"), { stdout: 5, stderr: 1 });
  await write(second, "stdout", "6");
  assert.deepEqual(await second.beginRun("b"), { stdout: 0, stderr: 0 });
  await write(second, "stdout", "again");
  const pieces = await collect(second);
  assert.deepEqual(
    pieces.map(({ offset }) => offset),
    [0, 0, 5, 0],
  );
  assert.equal(text(pieces), "12345x6again");
  await second.close();
});

test("bytes that a crash left after the last complete record are cut off, at each length", async () => {
  await using dir = await directory();
  const log = await ContainerLog.open({ directory: dir.path, limits: LIMITS });
  await log.beginRun("a");
  await write(log, "stdout", "kept");
  const whole = log.position.bytes;
  await write(log, "stdout", "torn");
  const bytes = log.position.bytes;
  await log.close();
  const path = logFilePath(dir.path, 1);
  for (let length = bytes - 1; length >= whole; length -= 1) {
    await using file = await open(path, "r+");
    await file.truncate(length);
    const again = await ContainerLog.open({ directory: dir.path, limits: LIMITS });
    assert.deepEqual(again.offsets, { stdout: 4, stderr: 0 });
    assert.equal((await stat(path)).size, whole);
    assert.equal(text(await collect(again)), "kept");
    await again.close();
  }
});

test("a damaged tail of zeros or noise is cut off, and a file without a first record is removed", async () => {
  await using dir = await directory();
  const log = await ContainerLog.open({ directory: dir.path, limits: LIMITS });
  await log.beginRun("a");
  await write(log, "stdout", "kept");
  const { bytes } = log.position;
  await log.close();
  await using file = await open(logFilePath(dir.path, 1), "r+");
  await file.write(Buffer.alloc(5000), 0, 5000, bytes);
  await writeFile(logFilePath(dir.path, 2), Buffer.from("PL garbage"));
  await writeFile(logFilePath(dir.path, 3), "");
  const again = await ContainerLog.open({ directory: dir.path, limits: LIMITS });
  assert.deepEqual(await readdir(dir.path), ["0000000001.log"]);
  assert.deepEqual(again.offsets, { stdout: 4, stderr: 0 });
  assert.equal(again.position.bytes, bytes);
  await again.close();
});

test("files are rotated at their size, a bounded number is kept, and offsets continue", async () => {
  await using dir = await directory();
  const limits = { maxFileBytes: 65536, maxFiles: 2 };
  const log = await ContainerLog.open({ directory: dir.path, limits });
  await log.beginRun("a");
  for (let round = 0; round < 100; round += 1) await write(log, "stdout", Buffer.alloc(5000, round));
  const names = await readdir(dir.path);
  assert.equal(names.length, 2);
  for (const name of names) assert.ok((await stat(join(dir.path, name))).size <= 65536);
  const pieces = await collect(log);
  assert.equal(pieces.at(-1)?.offset, 99 * 5000);
  pieces.forEach((piece, index) => {
    assert.equal(piece.offset, (pieces[0]?.offset ?? 0) + index * 5000);
    assert.equal(piece.data[0], piece.offset / 5000);
  });
  await log.close();
  const again = await ContainerLog.open({ directory: dir.path, limits });
  assert.deepEqual(again.offsets, { stdout: 500_000, stderr: 0 });
  await again.close();
});

test("following reads existing and new output, across rotation, and ends when the log is finished", async () => {
  await using dir = await directory();
  const log = await ContainerLog.open({ directory: dir.path, limits: { maxFileBytes: 65536, maxFiles: 16 } });
  await log.beginRun("a");
  await write(log, "stdout", "before ");
  const reading = collect(log, { follow: true });
  const expected: Buffer[] = [Buffer.from("before ")];
  for (let round = 0; round < 200; round += 1) {
    const data = Buffer.alloc(3000, 65 + (round % 26));
    expected.push(data);
    await write(log, "stdout", data);
  }
  log.finish();
  const read = Buffer.concat((await reading).map(({ data }) => data));
  assert.ok(read.equals(Buffer.concat(expected)));
  await log.close();
});

test("the writer does not wait for a follower that has left", async () => {
  await using dir = await directory();
  const log = await ContainerLog.open({ directory: dir.path, limits: LIMITS });
  await log.beginRun("a");
  const leaving = new AbortController();
  const reading = collect(log, { follow: true, signal: leaving.signal });
  leaving.abort(new Error("the client left"));
  await assert.rejects(reading, /the client left/);
  await log.close();
});

test("`since` leaves out earlier output", async () => {
  await using dir = await directory();
  let nowUs = 1_000_000;
  const log = await ContainerLog.open({ directory: dir.path, limits: LIMITS, nowUs: () => nowUs });
  await log.beginRun("a");
  await write(log, "stdout", "old\n");
  nowUs = 2_000_000;
  await write(log, "stdout", "new\n");
  nowUs = 500_000; // the clock is set back
  await write(log, "stdout", "newer\n");
  assert.equal(text(await collect(log, { sinceUs: 2_000_000 })), "new\nnewer\n");
  assert.equal(text(await collect(log, { sinceUs: 2_000_000, tailLines: 1 })), "newer\n");
  assert.equal(text(await collect(log, { sinceUs: 2_000_000, tailLines: 9 })), "new\nnewer\n");
  await log.close();
});

/** The last lines of one stream, by splitting all of it. */
function lastLines(all: string, count: number): string {
  const lines = all.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  return count === 0 ? "" : lines.slice(-count).join("");
}

test("the last lines of one stream are the same however it is cut into records", async () => {
  const piece = fc.stringMatching(/^[ab\n]{1,12}$/);
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 30 }), fc.nat(12), async (pieces, count) => {
      await using dir = await directory();
      const log = await ContainerLog.open({
        directory: dir.path,
        limits: { maxFileBytes: 400, maxFiles: 100 },
      });
      await log.beginRun("a");
      for (const each of pieces) await write(log, "stdout", each);
      assert.equal(text(await collect(log, { tailLines: count })), lastLines(pieces.join(""), count));
      await log.close();
    }),
    { numRuns: 150 },
  );
});

test("reading without following ends at the end of the log at the call, however fast more is written", async () => {
  await using dir = await directory();
  const log = await ContainerLog.open({ directory: dir.path, limits: { maxFileBytes: 1000, maxFiles: 5 } });
  await log.beginRun("a");
  for (let line = 1; line <= 20; line += 1) await write(log, "stdout", `line ${line}\n`);
  const selections = [{ tailLines: 1 }, { tailLines: 3 }, { sinceUs: 1 }, {}];
  for (const selection of selections) {
    const last = log.offsets.stdout;
    let pieces = 0;
    for await (const { offset, data } of readLog(log, { ...ALL, ...selection })) {
      assert.ok(offset + data.length <= last, `${JSON.stringify(selection)}: read past the requested end`);
      pieces += 1;
      // Twice the speed of the reader.
      await write(log, "stdout", `more ${pieces}\n`);
      await write(log, "stdout", `more ${pieces}\n`);
      assert.ok(pieces < 500, `${JSON.stringify(selection)}: it does not end`);
    }
    assert.ok(pieces > 0);
    if ("tailLines" in selection) assert.equal(pieces, selection.tailLines);
  }
  await log.close();
});

test("of two mixed streams as many last lines are returned as requested, for each stream its last ones", async () => {
  const piece = fc.record({
    stream: fc.constantFrom<LogStream>("stdout", "stderr"),
    data: fc.stringMatching(/^[ab\n]{1,8}$/),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 30 }), fc.nat(12), async (pieces, count) => {
      await using dir = await directory();
      const log = await ContainerLog.open({ directory: dir.path, limits: LIMITS });
      await log.beginRun("a");
      for (const { stream, data } of pieces) await write(log, stream, data);
      const read = await collect(log, { tailLines: count });
      let lines = 0;
      let all = 0;
      for (const stream of ["stdout", "stderr"] as const) {
        const whole = pieces
          .filter((each) => each.stream === stream)
          .map(({ data }) => data)
          .join("");
        const part = text(read, stream);
        const partLines = part.match(/[^\n]*\n|[^\n]+$/g)?.length ?? 0;
        assert.equal(part, lastLines(whole, partLines));
        lines += partLines;
        all += whole.match(/[^\n]*\n|[^\n]+$/g)?.length ?? 0;
      }
      assert.equal(lines, Math.min(count, all));
      await log.close();
    }),
    { numRuns: 150 },
  );
});

test("appends wait while the disk is full, which is reported, and nothing is lost", async () => {
  await using full = await fullDisk();
  const problems: (string | undefined)[] = [];
  const refused = Promise.withResolvers<void>();
  const log = await ContainerLog.open({
    directory: join(full.path, "log"),
    limits: LIMITS,
    retryMs: 5,
    onProblem: (problem) => {
      problems.push(problem?.message);
      refused.resolve();
    },
  });
  await log.beginRun("a");
  await write(log, "stdout", "before ");
  let settled = false;
  const waiting = write(log, "stdout", Buffer.alloc(60_000, 65)).then(() => {
    settled = true;
  });
  await refused.promise;
  assert.match(problems[0] ?? "", /ENOSPC/);
  assert.equal(settled, false);
  assert.equal(text(await collect(log)), "before ");
  await full.free();
  await waiting;
  assert.equal(problems.at(-1), undefined);
  assert.equal(text(await collect(log)), `before ${"A".repeat(60_000)}`);
  await log.close();
});

test("closing a log whose disk is full fails the appends that wait", async () => {
  await using full = await fullDisk();
  const refused = Promise.withResolvers<void>();
  const log = await ContainerLog.open({
    directory: join(full.path, "log"),
    limits: LIMITS,
    onProblem: () => refused.resolve(),
  });
  await log.beginRun("a");
  const waiting = write(log, "stdout", Buffer.alloc(60_000, 65));
  await refused.promise;
  await Promise.all([assert.rejects(waiting, /was closed/), log.close()]);
});

/** A small file system in memory that is full except for a few KiB, and whose ballast can be removed. */
async function fullDisk() {
  const path = await mkdtemp(join(tmpdir(), "paddock-full-"));
  await run("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", path]);
  await writeFile(join(path, "ballast"), Buffer.alloc(244 * 1024));
  return {
    path,
    free: () => rm(join(path, "ballast")),
    [Symbol.asyncDispose]: async () => {
      await run("umount", ["-l", path]);
      await rm(path, { recursive: true, force: true });
    },
  };
}
