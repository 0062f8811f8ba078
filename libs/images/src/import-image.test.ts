import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { ImportProgress } from "./convert-archive.ts";
import {
  archiveOf,
  directory,
  dockerFiles,
  file,
  hardlink,
  ociFiles,
  sha256,
  stream,
  symlink,
  tarOf,
} from "./testing/build-archive.ts";
import { catSquashfs, listSquashfs, pathsOf } from "./testing/inspect-squashfs.ts";
import { temporaryStore } from "./testing/temporary-store.ts";

const base = await tarOf([
  directory("etc"),
  file("etc/passwd", "root:x:0:0::/:/bin/sh\n"),
  file("etc/old"),
  directory("data"),
  file("data/below"),
  file("bin/tool", "#!/bin/sh\n", { mode: 0o4755, uid: 1000, gid: 70_000 }),
  symlink("bin/alias", "/bin/tool"),
]);
const top = await tarOf([
  file("etc/.wh.old", ""),
  directory("data", { mode: 0o1777 }),
  file("data/.wh..wh..opq", ""),
  file("data/above", "new"),
  file("etc/passwd", "changed\n"),
]);
const merged = [
  "-rw-r--r-- 0/0 data/above",
  "-rw-r--r-- 0/0 etc/passwd",
  "-rwsr-xr-x 1000/70000 bin/tool",
  "drwxr-xr-x 0/0 bin",
  "drwxr-xr-x 0/0 etc",
  "drwxrwxrwt 0/0 data",
  "lrw-r--r-- 0/0 bin/alias -> /bin/tool",
];

for (const compression of ["none", "gzip", "zstd"] as const)
  test(`an OCI layout with ${compression} layers becomes one merged squashfs file`, async (t) => {
    const { store } = await temporaryStore(t);
    const image = { layers: [base, top], compression, name: "docker.io/library/thing:1" };
    const record = await store.importStream(stream(await archiveOf(ociFiles(image))));
    const blob = store.blobPath(record);
    assert.deepEqual(await listSquashfs(blob), expectedModes(merged));
    assert.equal(await catSquashfs(blob, "etc/passwd"), "changed\n");
    assert.deepEqual(record.names, ["thing:1"]);
    assert.equal(record.layerCount, 2);
  });

/** unsquashfs shows every symbolic link as rwxrwxrwx. */
function expectedModes(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/^lrw-r--r--/, "lrwxrwxrwx")).sort();
}

test("old and new docker save archives give the same image as the OCI layout", async (t) => {
  const { store } = await temporaryStore(t);
  const image = { layers: [base, top], name: "thing:1" };
  const oci = await store.importStream(stream(await archiveOf(ociFiles(image))));
  const docker = await store.importStream(stream(await archiveOf(dockerFiles(image))), { format: "docker" });
  const both = new Map([...ociFiles(image), ...dockerFiles(image)]);
  const saved = await store.importStream(stream(await archiveOf(both)));
  assert.equal(docker.id, oci.id);
  assert.deepEqual(saved, oci);
});

test("an old docker archive may use a link for a repeated layer", async (t) => {
  const { store } = await temporaryStore(t);
  const files = dockerFiles({ layers: [base, base] });
  const manifest = JSON.parse(files.get("manifest.json")?.toString() ?? "");
  manifest[0].Layers[1] = "again/layer.tar";
  files.set("manifest.json", Buffer.from(JSON.stringify(manifest)));
  const entries = [...files].map(([name, content]) => ({ name, content }));
  const link = symlink("again/layer.tar", `../${sha256(base)}/layer.tar`);
  const record = await store.importStream(stream(await tarOf([...entries, link])));
  assert.equal(record.layerCount, 2);
});

for (const [how, compress] of [
  ["gzip", gzipSync],
  ["zstd", zstdCompressSync],
] as const)
  test(`an archive may be compressed as a whole with ${how}`, async (t) => {
    const { store } = await temporaryStore(t);
    const archive = await archiveOf(ociFiles({ layers: [base] }));
    const plain = await store.importStream(stream(archive));
    const packed = await store.importStream(stream(compress(archive), 7));
    assert.equal(packed.id, plain.id);
  });

test("a bare root file system gets its config from the caller, and its id depends on both", async (t) => {
  const { store } = await temporaryStore(t);
  const config = { cmd: ["/bin/tool"], env: ["A=b"], user: "app", labels: { z: "1", a: "2" } };
  const record = await store.importStream(stream(base), { name: "bare", config });
  const again = await store.importStream(stream(base), { format: "rootfs", config });
  const other = await store.importStream(stream(base), { config: { cmd: ["/bin/other"] } });
  assert.deepEqual(record.config.cmd, ["/bin/tool"]);
  assert.equal(record.config.workingDir, "/");
  assert.deepEqual(record.names, ["bare:latest"]);
  assert.equal(again.id, record.id);
  assert.notEqual(other.id, record.id);
  assert.equal(other.blob, record.blob);
});

test("the config of an image is kept", async (t) => {
  const { store } = await temporaryStore(t);
  const config = {
    Entrypoint: ["/entry"],
    Cmd: ["a", "b"],
    Env: ["PATH=/bin", "EMPTY="],
    WorkingDir: "/srv/x/",
    User: "1000:1000",
    StopSignal: "SIGINT",
    ExposedPorts: { "443/tcp": {}, "53/udp": {} },
    Labels: { "org.example": "yes" },
    Volumes: { "/data": {} },
  };
  const document = { created: "2024-05-06T07:08:09.123456789Z" };
  const record = await store.importStream(
    stream(await archiveOf(ociFiles({ layers: [base], config, document }))),
  );
  assert.deepEqual(record.config, {
    entrypoint: ["/entry"],
    cmd: ["a", "b"],
    env: ["PATH=/bin", "EMPTY="],
    workingDir: "/srv/x",
    user: "1000:1000",
    stopSignal: "SIGINT",
    exposedPorts: ["443/tcp", "53/udp"],
    labels: { "org.example": "yes" },
    volumes: ["/data"],
  });
  assert.equal(record.createdAt, "2024-05-06T07:08:09.123Z");
});

test("from a multi-platform layout the node's platform is imported", async (t) => {
  const { store } = await temporaryStore(t);
  const mine = ociFiles({ layers: [base] });
  const foreign = ociFiles({ layers: [top], document: { architecture: "arm64" } });
  const pick = (files: Map<string, Buffer>, architecture: string) => {
    const index = JSON.parse(files.get("index.json")?.toString() ?? "");
    return { ...index.manifests[0], platform: { os: "linux", architecture } };
  };
  const manifests = [pick(foreign, "arm64"), pick(mine, "amd64")];
  const list = Buffer.from(JSON.stringify({ manifests }));
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const nested = { mediaType, digest: `sha256:${sha256(list)}`, size: list.length };
  const files = new Map([...foreign, ...mine, [`blobs/sha256/${sha256(list)}`, list] as const]);
  files.set("index.json", Buffer.from(JSON.stringify({ manifests: [nested] })));
  const record = await store.importStream(stream(await archiveOf(files)));
  assert.equal(record.architecture, "amd64");
  assert.ok((await pathsOf(store.blobPath(record))).includes("bin/tool"));
});

test("from several images in an archive the one with the given name is imported", async (t) => {
  const { store } = await temporaryStore(t);
  const files = dockerFiles({ layers: [base], name: "one:1" });
  const others = dockerFiles({ layers: [top], name: "two:2" });
  const entries = [files, others].flatMap((all) => JSON.parse(all.get("manifest.json")?.toString() ?? ""));
  const both = new Map([
    ...files,
    ...others,
    ["manifest.json", Buffer.from(JSON.stringify(entries))] as const,
  ]);
  const archive = await archiveOf(both);
  await assert.rejects(store.importStream(stream(archive)), { kind: "ambiguous" });
  const record = await store.importStream(stream(archive), { name: "two:2" });
  assert.ok((await pathsOf(store.blobPath(record))).includes("data/above"));
});

test("hard links still share one file after a later layer replaces their target", async (t) => {
  const { store } = await temporaryStore(t);
  const first = await tarOf([file("one", "old"), hardlink("two", "one"), hardlink("three", "./one")]);
  const second = await tarOf([file("one", "new")]);
  const record = await store.importStream(stream(await archiveOf(ociFiles({ layers: [first, second] }))));
  const blob = store.blobPath(record);
  assert.equal(await catSquashfs(blob, "one"), "new");
  assert.equal(await catSquashfs(blob, "two"), "old");
  assert.equal(await catSquashfs(blob, "three"), "old");
  assert.equal(record.contentBytes, 6);
});

test("long names and long link targets are kept", async (t) => {
  const { store } = await temporaryStore(t);
  const long = `d/${"n".repeat(200)}`;
  const target = `/${"t/".repeat(90)}end`;
  const layer = await tarOf([file(long), symlink("absolute", target), symlink("d/up", `../${target}`)]);
  const record = await store.importStream(stream(layer));
  const lines = await listSquashfs(store.blobPath(record));
  assert.deepEqual(lines, [
    `-rw-r--r-- 0/0 ${long}`,
    "drwxr-xr-x 0/0 d",
    `lrwxrwxrwx 0/0 absolute -> ${target}`,
    `lrwxrwxrwx 0/0 d/up -> ../${target}`,
  ]);
});

test("device nodes are left out and counted, and still hide entries of lower layers", async (t) => {
  const { store } = await temporaryStore(t);
  const lower = await tarOf([file("dev/null"), file("keep")]);
  const upper = await tarOf([
    { name: "dev/null", type: "character-device", devmajor: 1, devminor: 3 },
    { name: "dev/sda", type: "block-device", devmajor: 8, devminor: 0 },
    { name: "wh", type: "character-device", devmajor: 0, devminor: 0 },
  ]);
  const record = await store.importStream(stream(await archiveOf(ociFiles({ layers: [lower, upper] }))));
  assert.equal(record.droppedDevices, 3);
  assert.deepEqual(await pathsOf(store.blobPath(record)), ["dev", "keep"]);
});

test("the same layers give the same squashfs bytes in another store at another time", async (t) => {
  const archive = await archiveOf(ociFiles({ layers: [base, top] }));
  const one = await temporaryStore(t);
  const two = await temporaryStore(t);
  const first = await one.store.importStream(stream(archive));
  const started = Math.floor(Date.now() / 1000);
  // A changing mtime of the root directory would show after a second.
  while (Math.floor(Date.now() / 1000) === started) await new Promise(setImmediate);
  const second = await two.store.importStream(stream(archive));
  assert.equal(second.blob, first.blob);
});

test("progress names every phase in order and ends at the total", async (t) => {
  const { store } = await temporaryStore(t);
  const seen: ImportProgress[] = [];
  const archive = await archiveOf(ociFiles({ layers: [base, top] }));
  await store.importStream(stream(archive), { onProgress: (progress) => seen.push(progress) });
  assert.deepEqual([...new Set(seen.map(({ phase }) => phase))], ["receive", "verify", "convert", "store"]);
  assert.equal(seen.findLast(({ phase }) => phase === "receive")?.bytesDone, archive.length);
  for (const phase of ["verify", "convert", "store"] as const) {
    const last = seen.findLast((progress) => progress.phase === phase);
    assert.equal(last?.bytesDone, last?.bytesTotal);
  }
});
