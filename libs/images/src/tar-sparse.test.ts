import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ImageError } from "./image-error.ts";
import type { TarEntry } from "./tar-entry.ts";
import { readTar } from "./tar-reader.ts";
import { tarEnd, tarHeader, tarPadding } from "./tar-writer.ts";

const directory = mkdtempSync(join(tmpdir(), "paddock-sparse-"));
after(() => rmSync(directory, { recursive: true }));

const MIB = 1024 * 1024;

async function entriesOf(archive: Buffer, sparse = true): Promise<{ entry: TarEntry; content: Buffer }[]> {
  const found: { entry: TarEntry; content: Buffer }[] = [];
  const source = (async function* () {
    for (let at = 0; at < archive.length; at += 700) yield archive.subarray(at, at + 700);
  })();
  for await (const entry of readTar(source, { requireEndMarker: true, sparse }))
    found.push({ entry, content: Buffer.concat(await Array.fromAsync(entry.body)) });
  return found;
}

test("a sparse file of GNU tar is read as its parts and their places", async () => {
  const file = openSync(join(directory, "holes"), "w");
  writeSync(file, Buffer.alloc(4096, 1), 0, 4096, MIB);
  writeSync(file, Buffer.alloc(4096, 2), 0, 4096, 3 * MIB);
  closeSync(file);
  const made = execFileSync("tar", ["--format=posix", "--sparse", "-C", directory, "-c", "holes"]);
  const [found] = await entriesOf(made);
  assert.equal(found?.entry.path, "holes");
  assert.equal(found.entry.mtime, Math.floor(statSync(join(directory, "holes")).mtimeMs / 1000));
  const { realSize, segments } = found.entry.sparse ?? { realSize: 0, segments: [] };
  const whole = Buffer.alloc(realSize);
  let at = 0;
  for (const { offset, length } of segments) {
    found.content.copy(whole, offset, at, at + length);
    at += length;
  }
  assert.ok(whole.equals(readFileSync(join(directory, "holes"))));
  assert.equal(at, found.content.length);
});

test("a sparse file is written in a form that GNU tar reads, with the time to the nanosecond", () => {
  const path = `${"long/".repeat(30)}name`;
  const sparse = { realSize: 2 * MIB, segments: [{ offset: MIB, length: 5 }] };
  const times = { mtime: 1_700_000_000, mtimeNs: 123_456_789 };
  const record = { type: "file" as const, path, mode: 0o640, uid: 0, gid: 0, size: 5, sparse, ...times };
  const archive = Buffer.concat([tarHeader(record), Buffer.from("hello"), tarPadding(5), tarEnd]);
  execFileSync("tar", ["-C", directory, "-x", "--no-same-owner"], { input: archive });
  const content = readFileSync(join(directory, path));
  assert.equal(content.length, 2 * MIB);
  assert.equal(content.toString("latin1", MIB, MIB + 5), "hello");
  assert.equal(statSync(join(directory, path), { bigint: true }).mtimeNs, 1_700_000_000_123_456_789n);
});

test("times before 1970 are written and read with their fraction", async () => {
  for (const [mtime, mtimeNs] of [
    [-1, 500_000_000],
    [-7, 0],
    [-2, 1],
    [5, 999_999_999],
  ]) {
    const record = { type: "file" as const, path: "a", mode: 0, uid: 0, gid: 0, mtime: mtime ?? 0 };
    const archive = Buffer.concat([tarHeader({ ...record, mtimeNs: mtimeNs ?? 0 }), tarEnd]);
    const [found] = await entriesOf(archive);
    assert.deepEqual([found?.entry.mtime, found?.entry.mtimeNs], [mtime, mtimeNs]);
  }
});

const sparseArchive = (map: string, content = "hello", records = {}): Buffer => {
  const record = { type: "file" as const, path: "a", mode: 0, uid: 0, gid: 0, mtime: 0, ...records };
  const sparse = { realSize: 100, segments: [{ offset: 10, length: 5 }] };
  const head = tarHeader({ ...record, sparse, size: content.length });
  const body = Buffer.alloc(512);
  body.write(map);
  return Buffer.concat([
    head.subarray(0, head.length - 512),
    body,
    Buffer.from(content),
    tarPadding(content.length),
    tarEnd,
  ]);
};

for (const [name, map] of Object.entries({
  "whose parts overlap": "2\n10\n3\n11\n2\n",
  "whose parts are larger than its content": "1\n10\n6\n",
  "whose parts are beyond its end": "1\n96\n5\n",
  "without numbers": "x\n",
  "with a negative place": "1\n-1\n5\n",
  "with a number of a thousand digits": "9".repeat(512),
  "with more parts than the map has": "9\n1\n1\n",
  "of too many parts": "100001\n1\n1\n",
}))
  test(`a sparse file ${name} is refused`, async () => {
    await assert.rejects(entriesOf(sparseArchive(map)), ImageError);
  });

test("a sparse file is refused where none is expected", async () => {
  const archive = sparseArchive("1\n10\n5\n");
  assert.equal((await entriesOf(archive))[0]?.content.toString(), "hello");
  await assert.rejects(entriesOf(archive, false), { kind: "unsupported" });
});
