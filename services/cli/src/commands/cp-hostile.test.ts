/** Archives of a container that attacks the host: nothing outside the destination changes, and nothing is followed. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { type TarRecord, tarEnd, tarHeader, tarPadding } from "@paddock/images";
import { FileService, FileType } from "@paddock/protocol";
import { FakeFiles } from "../testing/fake-files.ts";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli } from "../testing/run-in-process.ts";

const base = mkdtempSync(join(tmpdir(), "paddock-hostile-"));
after(() => rmSync(base, { recursive: true }));

type Entry = Partial<TarRecord> & Pick<TarRecord, "type" | "path"> & { readonly content?: string };

const archive = (entries: readonly (Entry | Buffer)[], end = tarEnd): Buffer =>
  Buffer.concat([
    ...entries.flatMap((entry) => {
      if (Buffer.isBuffer(entry)) return [entry];
      const { content = "", ...record } = entry;
      const size = content.length;
      const header = tarHeader({ mode: 0o644, uid: 1234, gid: 1234, mtime: 1e9, size, ...record });
      return [header, Buffer.from(content), tarPadding(size)];
    }),
    end,
  ]);

const top: Entry = { type: "directory", path: "top", mode: 0o755 };
const file = (path: string, content = "evil"): Entry => ({ type: "file", path, content });
const link = (path: string, to: string): Entry => ({ type: "symlink", path, link: to });
const hardLink = (path: string, to: string): Entry => ({ type: "hardlink", path, link: to });

/** A character device 1:3, which the writer of this package cannot write. */
function device(path: string): Buffer {
  const header = tarHeader({ type: "file", path, mode: 0o666, uid: 0, gid: 0, mtime: 0 });
  header.write("3", 156);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

type World = { readonly directory: string; readonly outside: string; readonly dest: string };

/** A destination "dest" that exists, beside a directory that nothing may change. */
function world(): World {
  const directory = mkdtempSync(join(base, "world-"));
  const [outside, dest] = [join(directory, "outside"), join(directory, "dest")];
  mkdirSync(outside);
  mkdirSync(dest);
  writeFileSync(join(outside, "secret"), "secret");
  return { directory, outside, dest };
}

const untouched = ({ directory, outside }: World): void => {
  assert.deepEqual(readdirSync(directory).sort(), ["dest", "outside"]);
  assert.deepEqual(readdirSync(outside), ["secret"]);
  assert.equal(readFileSync(join(outside, "secret"), "utf8"), "secret");
  assert.equal(statSync(join(outside, "secret")).nlink, 1);
  assert.equal(existsSync("/paddock-evil"), false);
};

/** Copies what the container sends to "dest". */
async function copied(bytes: Buffer, { dest }: World, words: readonly string[] = []) {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  const files = new FakeFiles(base);
  files.transfers.read = () => ({ file: {}, bytes });
  files.transfers.serve(api);
  api.unary(FileService.method.statFile, () => ({ file: { name: "top", type: FileType.DIRECTORY } }));
  const outcome = await cli(api, ["cp", ...words, "web:/top", dest]);
  const left = execFileSync("find", [dest, "-name", ".paddock-cp-*"], { encoding: "utf8" });
  assert.equal(left, "", "temporary files are left");
  return outcome;
}

const REFUSED: Readonly<Record<string, (at: World) => readonly (Entry | Buffer)[]>> = {
  'has ".." in its name': () => [top, file("top/../../outside/secret")],
  'has ".." in its name first': () => [file("../outside/secret")],
  "has an absolute name": () => [top, file("/paddock-evil")],
  "has another name than the first": () => [top, file("other/file")],
  "is deep from the start": () => [file("a/b/c")],
  "is below a link of the archive": ({ outside }) => [
    top,
    link("top/link", outside),
    file("top/link/secret"),
  ],
  "is below a relative link of the archive": () => [
    top,
    link("top/link", "../../outside"),
    file("top/link/secret"),
  ],
  "is a directory at a link of the archive": ({ outside }) => [
    top,
    link("top/link", outside),
    { type: "directory", path: "top/link", mode: 0o777 },
  ],
  "is a link in place of a directory": ({ outside }) => [
    top,
    { type: "directory", path: "top/d" },
    link("top/d", outside),
    file("top/d/secret"),
  ],
  "is a link in place of the destination": ({ outside }) => [link("top", outside), file("top/secret")],
  "is a hard link to an absolute name": ({ outside }) => [top, hardLink("top/h", join(outside, "secret"))],
  'is a hard link with ".."': () => [top, hardLink("top/h", "top/../../outside/secret")],
  "is a hard link through a link": ({ outside }) => [
    top,
    link("top/link", outside),
    hardLink("top/h", "top/link/secret"),
  ],
  "is a hard link to a link": ({ outside }) => [
    top,
    link("top/link", join(outside, "secret")),
    hardLink("top/h", "top/link"),
  ],
  "is a hard link to a directory": () => [top, hardLink("top/h", "top")],
  "has a part of 300 bytes": () => [top, file(`top/${"n".repeat(300)}`)],
  "has a name of 5000 bytes": () => [top, file(`top/${"n/".repeat(2500)}f`)],
  "has a link target of 5000 bytes": () => [top, link("top/l", "x".repeat(5000))],
  "has a pax header of 2 MiB": () => [
    top,
    { ...file("top/f"), xattrs: new Map([["user.a", "x".repeat(2 * 1024 ** 2)]]) },
  ],
  "has a byte 0 in its name": () => [
    top,
    { ...file("top/n\0/../x", ""), sparse: { realSize: 3, segments: [] } },
  ],
  "is a sparse file with parts beyond its end": () => [
    top,
    {
      ...file("top/f", "hello"),
      sparse: { realSize: 3, segments: [{ offset: 1024 ** 3, length: 5 }] },
    },
  ],
  "has a header without its sum": () => [top, Buffer.alloc(512, 7)],
};

for (const [name, entries] of Object.entries(REFUSED))
  test(`an archive is refused whose entry ${name}`, async () => {
    const at = world();
    const { code, err } = await copied(archive(entries(at)), at);
    assert.equal(code, 1, err);
    assert.match(err, /^error: /m);
    untouched(at);
  });

for (const kind of ["a directory", "a file", "nothing"])
  test(`a link that was at the destination before, to ${kind}, is replaced or refused and never followed`, async () => {
    const at = world();
    const target = { "a directory": at.outside, "a file": join(at.outside, "secret") }[kind] ?? "nowhere";
    mkdirSync(join(at.dest, "top"));
    symlinkSync(target, join(at.dest, "top/x"));
    const below = await copied(archive([top, file("top/x/secret")]), at);
    assert.equal(below.code, 1);
    const replaced = await copied(archive([top, file("top/x")]), at);
    assert.equal(replaced.code, 0, replaced.err);
    assert.equal(readFileSync(join(at.dest, "top/x"), "utf8"), "evil");
    untouched(at);
  });

test("devices and FIFOs are left out and told, and the rest is copied", async () => {
  const at = world();
  const { code, err } = await copied(
    archive([top, device("top/null"), { type: "fifo", path: "top/pipe" }, file("top/f")]),
    at,
  );
  assert.equal(code, 0, err);
  assert.deepEqual(readdirSync(join(at.dest, "top")), ["f"]);
  assert.match(
    err,
    /note: "top\/null" is left out: it is a device\nnote: "top\/pipe" is left out: it is a FIFO/,
  );
  untouched(at);
});

test("setuid and setgid are dropped, owners are the caller, and -a keeps owners", async () => {
  const at = world();
  const bytes = archive([top, { ...file("top/su"), mode: 0o6755 }]);
  const { err } = await copied(bytes, at);
  const copy = statSync(join(at.dest, "top/su"));
  assert.deepEqual([copy.mode & 0o7777, copy.uid], [0o755, process.getuid?.()]);
  assert.match(err, /note: setuid and setgid bits of 1 file are not kept/);
  if (process.getuid?.() !== 0) return;
  await copied(bytes, at, ["-a"]);
  const kept = statSync(join(at.dest, "top/su"));
  assert.deepEqual([kept.mode & 0o7777, kept.uid, kept.gid], [0o755, 1234, 1234]);
});

test("names that differ only by case, and escapes in names, are files with these names", async () => {
  const at = world();
  const name = "\u001b[2J\u0007\n";
  const { code, err } = await copied(
    archive([top, file("top/A", "1"), file("top/a", "2"), file(`top/${name}`), device(`top/${name}2`)]),
    at,
  );
  assert.equal(code, 0, err);
  assert.deepEqual(readdirSync(join(at.dest, "top")).sort(), [name, "A", "a"].sort());
  assert.ok(!err.includes("\u001b[2J"));
  assert.match(err, /\\x1b\[2J\\x07\\x0a2" is left out/);
});

test("an archive that ends too early fails, and its last file has no name", async () => {
  const at = world();
  const bytes = archive([top, file("top/whole"), file("top/half", "x".repeat(5000))], Buffer.alloc(0));
  const cut = await copied(bytes.subarray(0, bytes.length - 2048), at);
  assert.equal(cut.code, 1);
  assert.match(cut.err, /the container sent a bad archive: the tar archive ends in the middle of a file/);
  assert.match(cut.err, /copied before: 2 entries/);
  assert.deepEqual(readdirSync(join(at.dest, "top")), ["whole"]);
  const unmarked = await copied(archive([top, file("top/other")], Buffer.alloc(0)), at);
  assert.match(unmarked.err, /ends without its end marker/);
  assert.deepEqual(readdirSync(join(at.dest, "top")), ["whole"]);
});

test("a directory that only its owner could not write is filled, and gets its mode and time at the end", async () => {
  const at = world();
  const locked: Entry = { type: "directory", path: "top/locked", mode: 0o500, mtime: 1_000_000 };
  const { code, err } = await copied(archive([top, locked, file("top/locked/f"), file("top/after")]), at);
  assert.equal(code, 0, err);
  const stats = lstatSync(join(at.dest, "top/locked"));
  assert.deepEqual([stats.mode & 0o7777, stats.mtimeMs], [0o500, 1_000_000_000]);
});

test("two thousand entries in directories that are named again and again take little memory", async () => {
  const at = world();
  const entries: Entry[] = [top];
  for (let n = 0; n < 2000; n += 1) entries.push({ type: "directory", path: `top/${n % 50}/${n % 7}` });
  const { code, err } = await copied(archive(entries), at);
  assert.equal(code, 0, err);
  assert.equal(readdirSync(join(at.dest, "top")).length, 50);
});
