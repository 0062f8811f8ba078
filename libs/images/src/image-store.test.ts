import assert from "node:assert/strict";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { test } from "node:test";
import { archiveOf, dockerFiles, file, ociFiles, stream, tarOf } from "./testing/build-archive.ts";
import { storeFiles, temporaryStore } from "./testing/temporary-store.ts";

const one = await archiveOf(ociFiles({ layers: [await tarOf([file("one")])] }));
const two = await archiveOf(ociFiles({ layers: [await tarOf([file("two")])] }));

test("importing an image again returns the same record and adds no file", async (t) => {
  const { store, root } = await temporaryStore(t);
  const first = await store.importStream(stream(one), { name: "a" });
  const before = await storeFiles(root);
  assert.deepEqual(await store.importStream(stream(one), { name: "a" }), first);
  assert.deepEqual(await storeFiles(root), before);
  assert.equal((await store.list()).length, 1);
});

test("concurrent imports of one image result in one image", async (t) => {
  const { store, root } = await temporaryStore(t);
  const imports = Array.from({ length: 6 }, (_, i) => store.importStream(stream(one), { name: `name${i}` }));
  const ids = new Set((await Promise.all(imports)).map(({ id }) => id));
  assert.equal(ids.size, 1);
  const [record] = await store.list();
  assert.equal(record?.names.length, 6);
  const again = await temporaryStore(t, { root });
  assert.deepEqual(await again.store.list(), [record]);
  assert.equal((await storeFiles(root)).length, 3);
});

test("a blob is read-only and has the size in its record", async (t) => {
  const { store } = await temporaryStore(t);
  const record = await store.importStream(stream(one));
  const { mode, size } = await stat(store.blobPath(record));
  assert.equal(mode & 0o777, 0o444);
  assert.equal(size, record.sizeBytes);
  assert.equal(store.totalBytes(), size);
});

test("a reopened store has the same images and names", async (t) => {
  const { store, root } = await temporaryStore(t);
  await store.importStream(stream(one), { name: "a:1" });
  await store.importStream(stream(two), { name: "registry.example:5000/team/b" });
  const again = await temporaryStore(t, { root });
  assert.deepEqual(await again.store.list(), await store.list());
  assert.notEqual(again.store.find("registry.example:5000/team/b:latest"), undefined);
});

test("opening a store removes the leftovers of an interrupted import, and nothing else", async (t) => {
  const { store, root } = await temporaryStore(t);
  await store.importStream(stream(one), { name: "a" });
  const before = await storeFiles(root);
  await mkdir(join(root, "tmp", "crashed"));
  await writeFile(join(root, "tmp", "crashed", "archive.tar"), "half");
  await writeFile(
    join(root, "blobs", `${"0".repeat(64)}.squashfs`),
    "published, but its record was not written",
  );
  const logged: string[] = [];
  await temporaryStore(t, { root, log: (message) => logged.push(message) });
  assert.deepEqual(await storeFiles(root), before);
  assert.equal(logged.length, 2);
});

test("an image whose record or blob is damaged is left out and can be imported again", async (t) => {
  for (const damage of ["record", "blob"]) {
    const { store, root } = await temporaryStore(t);
    const record = await store.importStream(stream(one), { name: "a" });
    const path =
      damage === "blob" ? store.blobPath(record) : join(root, "images", `${record.id.slice(7)}.json`);
    await writeFile(path, (await readFile(path)).subarray(0, 100));
    const again = await temporaryStore(t, { root });
    assert.deepEqual(await again.store.list(), []);
    assert.ok(
      (await storeFiles(root)).includes(relative(root, store.blobPath(record))),
      "its blob was removed",
    );
    const repaired = await again.store.importStream(stream(one), { name: "a" });
    assert.equal(repaired.blob, record.blob);
    assert.equal((await stat(again.store.blobPath(repaired))).size, record.sizeBytes);
  }
});

test("an image is found by name, id and unique id prefix", async (t) => {
  const { store } = await temporaryStore(t);
  const { id } = await store.importStream(stream(one), { name: "docker.io/library/a" });
  for (const ref of ["a", "a:latest", "docker.io/a", id, id.slice(7), id.slice(0, 12), id.slice(7, 19)])
    assert.equal(store.find(ref)?.id, id, ref);
  for (const ref of ["b", "a:2", "sha256:0000", "0".repeat(64)])
    assert.equal(store.find(ref), undefined, ref);
  for (const ref of ["", "A", "a:", "../a", "a b", "sha256:xyz/..", `a:${"t".repeat(129)}`])
    assert.throws(() => store.find(ref), { kind: "invalid_reference" }, ref);
});

const idForms = [
  `sha256:${"a".repeat(64)}`,
  "sha256:3f9a",
  "sha256",
  "sha256:latest",
  `docker.io/library/sha256:${"a".repeat(64)}`,
  "sha512:1",
  "a".repeat(64),
  `${"a".repeat(64)}:1`,
  "0123456789ab",
  "0123456789ab:v1",
];

test("no image can be given a name that looks like an id", async (t) => {
  const { store, root } = await temporaryStore(t);
  for (const name of idForms) {
    await assert.rejects(
      store.importStream(stream(one), { name }),
      { kind: "invalid_reference", message: /has the form of an image id/ },
      name,
    );
    const named = await archiveOf(dockerFiles({ layers: [await tarOf([file("x")])], name }));
    await assert.rejects(store.importStream(stream(named)), { kind: "invalid_reference" }, name);
  }
  assert.deepEqual(await storeFiles(root), []);
});

test("an image is found by its id even if an older store has another image with that id as its name", async (t) => {
  const { store, root } = await temporaryStore(t);
  const victim = await store.importStream(stream(one), { name: "good" });
  const other = await store.importStream(stream(two), { name: "other" });
  const names = { "good:latest": victim.id, "other:latest": other.id, [victim.id]: other.id };
  await writeFile(join(root, "names.json"), JSON.stringify(names));
  const logged: unknown[] = [];
  const again = await temporaryStore(t, { root, log: (_, details) => logged.push(details) });
  assert.equal(again.store.find(victim.id)?.id, victim.id);
  assert.equal(again.store.find("good")?.id, victim.id, "the other names are kept");
  assert.deepEqual(logged, [{ name: victim.id, id: other.id }]);
  assert.equal((await again.store.remove(victim.id)).record.id, victim.id);
  assert.equal(again.store.find("other")?.id, other.id);
});

test("a name of hex digits is only a name, and never an id prefix", async (t) => {
  const { store } = await temporaryStore(t);
  const { id } = await store.importStream(stream(one), { name: "cafe" });
  const other = await store.importStream(stream(two));
  assert.equal(store.find("cafe")?.id, id);
  assert.equal(store.find(other.id.slice(7, 11)), undefined);
  assert.equal(store.find(other.id.slice(7, 19))?.id, other.id);
  await assert.rejects(store.remove(other.id.slice(7, 17)), { kind: "not_found" });
  assert.equal(store.get(other.id)?.id, other.id);
  assert.equal(store.get("cafe"), undefined);
  assert.equal(store.get(other.id.slice(0, 20)), undefined);
});

test("a reference with a registry digest is refused with the reason", async (t) => {
  const { store } = await temporaryStore(t);
  await store.importStream(stream(one), { name: "a" });
  assert.throws(() => store.find(`a@sha256:${"a".repeat(64)}`), {
    kind: "invalid_reference",
    message: /contains a registry digest/,
  });
});

test("a prefix of more than one id is ambiguous", async (t) => {
  const { store } = await temporaryStore(t);
  await store.importStream(stream(one));
  await store.importStream(stream(two));
  const ids = (await store.list()).map(({ id }) => id.slice(7));
  const common = [...(ids[0] ?? "")].findIndex((digit, i) => ids[1]?.[i] !== digit);
  assert.throws(() => store.find("sha256:"), { kind: "invalid_reference" });
  if (common > 0)
    assert.throws(() => store.find(`sha256:${ids[0]?.slice(0, common)}`), { kind: "ambiguous" });
  assert.equal(store.find(`sha256:${ids[0]?.slice(0, common + 1)}`)?.id.slice(7), ids[0]);
});

test("a name moves to the last image imported with it", async (t) => {
  const { store } = await temporaryStore(t);
  const old = await store.importStream(stream(one), { name: "app:1" });
  const current = await store.importStream(stream(two), { name: "app:1" });
  assert.equal(store.find("app:1")?.id, current.id);
  assert.deepEqual(store.find(old.id)?.names, []);
});

test("removing one of several names keeps the image; removing the last deletes it", async (t) => {
  const { store, root } = await temporaryStore(t);
  const { id } = await store.importStream(stream(one), { name: "a" });
  await store.importStream(stream(one), { name: "b" });
  assert.equal((await store.remove("a")).deleted, false);
  assert.equal(store.find("b")?.id, id);
  assert.equal((await store.remove("b")).deleted, true);
  assert.deepEqual(await storeFiles(root), ["names.json"]);
  await assert.rejects(store.remove("b"), { kind: "not_found" });
});

test("an image in use is not removed", async (t) => {
  const { store } = await temporaryStore(t);
  const { id } = await store.importStream(stream(one), { name: "a" });
  const inUse = (asked: string) => asked === id;
  for (const ref of ["a", id]) await assert.rejects(store.remove(ref, { inUse }), { kind: "in_use" });
  assert.equal(store.find("a")?.id, id);
  assert.equal((await store.remove(id, { inUse: () => false })).deleted, true);
});

test("a blob shared by two images is removed with the second image", async (t) => {
  const { store } = await temporaryStore(t);
  const rootfs = await tarOf([file("x")]);
  const first = await store.importStream(stream(rootfs), { config: { cmd: ["1"] } });
  const second = await store.importStream(stream(rootfs), { config: { cmd: ["2"] } });
  assert.equal(first.blob, second.blob);
  assert.equal(store.totalBytes(), first.sizeBytes);
  await store.remove(first.id);
  assert.ok((await stat(store.blobPath(second))).isFile());
  await store.remove(second.id);
  await assert.rejects(stat(store.blobPath(second)), { code: "ENOENT" });
});

test("an aborted import ends at once in every phase and leaves nothing", async (t) => {
  for (const phase of ["receive", "verify", "convert", "store"] as const) {
    const { store, root } = await temporaryStore(t);
    const abort = new AbortController();
    const onProgress = (progress: { phase: string }) => {
      if (progress.phase === phase) abort.abort(new Error("the client left"));
    };
    await assert.rejects(
      store.importStream(stream(one), { signal: abort.signal, onProgress }),
      /the client left/,
    );
    assert.deepEqual(await storeFiles(root), [], phase);
  }
});

test("an import is aborted even while its source is silent", async (t) => {
  const { store, root } = await temporaryStore(t);
  const abort = new AbortController();
  const silent = async function* (): AsyncGenerator<Buffer> {
    yield one.subarray(0, 600);
    queueMicrotask(() => abort.abort(new Error("the client left")));
    await new Promise(() => undefined);
  };
  await assert.rejects(store.importStream(silent(), { signal: abort.signal }), /the client left/);
  assert.deepEqual(await storeFiles(root), []);
});

test("an error of the source ends the import and leaves nothing", async (t) => {
  const { store, root } = await temporaryStore(t);
  const broken = async function* (): AsyncGenerator<Buffer> {
    yield one.subarray(0, 600);
    throw new Error("connection reset");
  };
  await assert.rejects(store.importStream(broken()), /connection reset/);
  assert.deepEqual(await storeFiles(root), []);
});

test("removing an image while another with the same blob is committed keeps the blob", async (t) => {
  const { store } = await temporaryStore(t);
  const rootfs = await tarOf([file("x")]);
  for (let round = 0; round < 10; round += 1) {
    const old = await store.importStream(stream(rootfs), { config: { cmd: ["old"] } });
    let removal: Promise<unknown> = Promise.resolve();
    const kept = await store.importStream(stream(rootfs), {
      config: { cmd: ["kept"] },
      onProgress: ({ phase }) => {
        if (phase === "store") removal = new Promise(setImmediate).then(() => store.remove(old.id));
      },
    });
    await removal;
    assert.ok((await stat(store.blobPath(kept))).isFile());
    await store.remove(kept.id);
  }
});
