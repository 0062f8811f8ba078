import assert from "node:assert/strict";
import { link, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { packDirectory, packTar } from "./pack-tar.ts";
import { catSquashfs, listSquashfs } from "./testing/inspect-squashfs.ts";
import { temporaryDirectory, temporaryStore } from "./testing/temporary-store.ts";

test("a local directory can be packed and imported", async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, "bin"), { mode: 0o700 });
  await writeFile(join(directory, "bin", "tool"), "content", { mode: 0o755 });
  await link(join(directory, "bin", "tool"), join(directory, "copy"));
  await symlink("/bin/tool", join(directory, "bin", "alias"));
  const { store } = await temporaryStore(t);
  const record = await store.importStream(packDirectory(directory));
  const owner = `${process.getuid?.()}/${process.getgid?.()}`;
  assert.deepEqual(await listSquashfs(store.blobPath(record)), [
    `-rwxr-xr-x ${owner} bin/tool`,
    `-rwxr-xr-x ${owner} copy`,
    `drwx------ ${owner} bin`,
    `lrwxrwxrwx ${owner} bin/alias -> /bin/tool`,
  ]);
  assert.equal(await catSquashfs(store.blobPath(record), "copy"), "content");
  assert.equal(record.contentBytes, 7);
});

test("content with another length than its header is an error, not a broken archive", async () => {
  const entry = { type: "file", path: "f", mode: 0o644, uid: 0, gid: 0, mtime: 0, size: 3 } as const;
  for (const text of ["12", "1234"]) {
    const content = (async function* () {
      yield Buffer.from(text);
    })();
    await assert.rejects(Array.fromAsync(packTar([{ ...entry, content }])), RangeError);
  }
});
