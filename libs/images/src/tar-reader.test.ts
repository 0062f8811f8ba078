import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { extract } from "tar-stream";
import { packTar } from "./pack-tar.ts";
import type { TarEntry } from "./tar-entry.ts";
import { readTar } from "./tar-reader.ts";
import type { TarRecord } from "./tar-writer.ts";
import { file, stream, tarOf } from "./testing/build-archive.ts";

type Read = Omit<TarEntry, "body" | "offset"> & { content: string };

async function readAll(archive: Buffer, chunkBytes = 777): Promise<Read[]> {
  const entries: Read[] = [];
  for await (const entry of readTar(stream(archive, chunkBytes), { requireEndMarker: true })) {
    const { body, offset, ...rest } = entry;
    const parts: Buffer[] = [];
    for await (const part of body) parts.push(part);
    const content = Buffer.concat(parts);
    assert.ok(archive.subarray(offset, offset + content.length).equals(content));
    entries.push({ ...rest, content: content.toString("latin1") });
  }
  return entries;
}

async function packed(...records: TarRecord[]): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of packTar(records)) parts.push(part);
  return Buffer.concat(parts);
}

const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 0 };

test("archives of tar-stream are read, for any chunk size", async () => {
  const archive = await tarOf([
    file("a", "1".repeat(5000), { uid: 70_000, mode: 0o4755 }),
    file(`${"long/".repeat(60)}é`, "2"),
    { name: "d", type: "directory" },
    { name: "s", type: "symlink", linkname: "x".repeat(300) },
  ]);
  for (const chunkBytes of [1, 511, 512, 100_000]) {
    const [a, long, d, s] = await readAll(archive, chunkBytes);
    assert.deepEqual([a?.uid, a?.mode, a?.content.length, a?.mtime], [70_000, 0o4755, 5000, 1000]);
    assert.equal(Buffer.from(long?.path ?? "", "latin1").toString(), `${"long/".repeat(60)}é`);
    assert.deepEqual([d?.type, s?.type, s?.link], ["directory", "symlink", "x".repeat(300)]);
  }
});

test("GNU tar's own archives, with long names, are read", async () => {
  const script = `d=$(mktemp -d); a=$(printf 'a%.0s' $(seq 90)); cd $d && mkdir -p $a/$a && echo hi > $a/$a/f &&
    ln -s $a link && tar --format=FORMAT --owner=x:2097000 -cf - . ; rm -rf $d`;
  for (const format of ["gnu", "pax", "ustar"]) {
    const archive = execFileSync("bash", ["-c", script.replace("FORMAT", format)]);
    const entries = await readAll(archive);
    const types = entries.map(({ type }) => type).sort();
    assert.deepEqual(types, ["directory", "directory", "directory", "file", "symlink"]);
    const written = entries.find(({ type }) => type === "file");
    const path = `./${"a".repeat(90)}/${"a".repeat(90)}/f`;
    assert.deepEqual([written?.path, written?.content, written?.uid], [path, "hi\n", 2_097_000]);
  }
});

test("binary extended attributes are the same after writing and reading", async () => {
  const capability = "\x01\x00\x00\x02\x80\x00\x00\x00\x00\n\xff=".padEnd(20, "\0");
  const xattrs = new Map([["security.capability", capability]]);
  const [entry] = await readAll(await packed({ ...plain, type: "file", path: "f", xattrs }));
  assert.deepEqual(entry?.xattrs, xattrs);
});

test("any written record is read back unchanged, also by tar-stream", async () => {
  const name = fc.string({
    unit: fc.integer({ min: 1, max: 255 }).map((c) => String.fromCharCode(c)),
    minLength: 1,
    maxLength: 300,
  });
  const id = fc.oneof(fc.nat(0o7777777), fc.integer({ min: 0, max: 0xffffffff }));
  const record = fc.record({
    path: name.filter((n) => !n.endsWith("/")),
    link: name,
    uid: id,
    gid: id,
    mode: fc.nat(0o7777),
    mtime: fc.nat(0x7fffffff),
  });
  await fc.assert(
    fc.asyncProperty(record, async (fields) => {
      const archive = await packed({ ...fields, type: "symlink" });
      const [entry] = await readAll(archive);
      const { path, link, uid, gid, mode, mtime } = entry ?? assert.fail("no entry");
      assert.deepEqual({ path, link, uid, gid, mode, mtime }, { ...fields });
      const other = await readWithTarStream(archive);
      const utf8 = (bytes: string) => Buffer.from(bytes, "latin1").toString("utf8");
      assert.deepEqual([other.name, other.linkname, other.mode], [utf8(path), utf8(link), mode]);
    }),
    { numRuns: 200 },
  );
});

async function readWithTarStream(archive: Buffer) {
  const reader = extract();
  reader.end(archive);
  for await (const entry of reader) return entry.header;
  return assert.fail("no entry");
}

test("a header with a wrong checksum is refused", async () => {
  const archive = await packed({ ...plain, type: "directory", path: "d" });
  archive[0] = 0x65;
  await assert.rejects(readAll(archive), { kind: "invalid_archive", message: /checksum/ });
});

test("sparse files, unknown types and global headers that rename are refused", async () => {
  const cases: [string, RegExp][] = [
    ["S", /type "S"/],
    ["V", /type "V"/],
  ];
  for (const [typeflag, message] of cases)
    await assert.rejects(readAll(await withTypeflag(typeflag)), { kind: "unsupported", message });
  const sparse = await tarOf([file("f", "x", { pax: { "GNU.sparse.major": "1" } })]);
  await assert.rejects(readAll(sparse), { kind: "unsupported", message: /sparse/ });
  const renames = await packedExtension("g", "13 path=evil\n");
  await assert.rejects(readAll(renames), { kind: "unsupported", message: /global/ });
});

/** One empty file with another type flag. */
async function withTypeflag(typeflag: string): Promise<Buffer> {
  return retyped(await packed({ ...plain, type: "file", path: "f" }), typeflag);
}

/** Changes the type of the first entry, a file, and corrects the checksum. */
function retyped(archive: Buffer, typeflag: string): Buffer {
  const sum = Number.parseInt(archive.toString("latin1", 148, 154), 8) - 0x30 + typeflag.charCodeAt(0);
  archive.write(typeflag, 156, "latin1");
  archive.write(sum.toString(8).padStart(6, "0"), 148, "latin1");
  return archive;
}

test("malformed pax records are refused", async () => {
  for (const body of [
    "x",
    "9 path=a",
    "99 path=a\n",
    "0 path=a\n",
    "9 pathaaa\n",
    "12 size=-100\n",
    "14 size=0x1000\n",
  ]) {
    const archive = await packedExtension("x", body);
    await assert.rejects(readAll(archive), { kind: "invalid_archive" }, JSON.stringify(body));
  }
});

/** An extension header with the given body, followed by a file. */
async function packedExtension(typeflag: string, body: string): Promise<Buffer> {
  const extension = { ...plain, type: "file", path: "x", content: Buffer.from(body) } as const;
  const parts: Buffer[] = [];
  for await (const part of packTar([extension, { ...plain, type: "file", path: "f" }])) parts.push(part);
  return retyped(Buffer.concat(parts), typeflag);
}

test("the reader finishes any input or refuses it", async () => {
  const base = await tarOf([
    file("a", "x".repeat(700)),
    file("b".repeat(150), "y"),
    { name: "d", type: "directory" },
  ]);
  const edit = fc.tuple(fc.nat(base.length - 1), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 6 }), async (edits) => {
      const damaged = Buffer.from(base);
      for (const [at, byte] of edits) damaged[at] = byte;
      await readAll(damaged).catch((error) => assert.equal(error.name, "ImageError", error.stack));
    }),
    { numRuns: 300 },
  );
});
