import assert from "node:assert/strict";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ArchiveIndex } from "./archive-index.ts";
import { packTar } from "./pack-tar.ts";
import { Spool } from "./spool.ts";

test("overlong names of files and links are not indexed", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "archive-index-"));
  t.after(() => rm(directory, { recursive: true }));
  const long = `${"d".repeat(100)}/`.repeat(11);
  const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
  const archive = await Array.fromAsync(
    packTar([
      { type: "file", path: "short", ...plain },
      { type: "file", path: `${long}x`, ...plain },
      { type: "hardlink", path: "alias", link: "short", ...plain },
      { type: "hardlink", path: `${long}alias`, link: "short", ...plain },
    ]),
  );
  const path = join(directory, "archive.tar");
  await writeFile(path, archive);
  const bytes = archive.reduce((sum, { length }) => sum + length, 0);
  await using spool = new Spool(path, await open(path, "r"), bytes);
  const index = await ArchiveIndex.read(spool, t.signal);
  assert.equal(index.find("short")?.name, "short");
  assert.equal(index.find("alias")?.name, "short");
  assert.equal(index.find(`${long}x`), undefined);
  assert.equal(index.find(`${long}alias`), undefined);
});
