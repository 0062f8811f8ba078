/** Unusual archives from real builders and engines, each taken from a bug report. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { ImageErrorKind } from "./image-error.ts";
import type { ImageRecord } from "./image-record.ts";
import {
  archiveOf,
  configOf,
  directory,
  dockerFiles,
  type Entry,
  file,
  hardlink,
  indexOf,
  ociFiles,
  putBlob,
  putIndex,
  sha256,
  stream,
  symlink,
  tarOf,
  withManifest,
} from "./testing/build-archive.ts";
import { catSquashfs, listSquashfs, pathsOf } from "./testing/inspect-squashfs.ts";
import { temporaryStore } from "./testing/temporary-store.ts";

type Files = Map<string, Buffer>;
type Made = { readonly record: ImageRecord; readonly blob: string };

async function imported(t: TestContext, files: Files): Promise<Made> {
  const { store } = await temporaryStore(t);
  const record = await store.importStream(stream(await archiveOf(files), 65_536));
  return { record, blob: store.blobPath(record) };
}

async function refused(t: TestContext, files: Files, kind: ImageErrorKind, message: RegExp): Promise<void> {
  const { store } = await temporaryStore(t);
  await assert.rejects(store.importStream(stream(await archiveOf(files), 65_536)), { kind, message });
}

const layersOf = (...layers: (readonly Entry[])[]) => Promise.all(layers.map(tarOf));
const imageOf = async (...layers: (readonly Entry[])[]) => ociFiles({ layers: await layersOf(...layers) });

const indexType = "application/vnd.oci.image.index.v1+json";
const manifestType = "application/vnd.oci.image.manifest.v1+json";

test("a leading slash means the image's root, in names and in hard links", async (t) => {
  const layers = [[directory("/"), directory("/opt"), file("//opt/a", "A"), hardlink("/opt/b", "/opt/a")]];
  const { blob, record } = await imported(t, await imageOf(...layers));
  assert.deepEqual(await pathsOf(blob), ["opt", "opt/a", "opt/b"]);
  assert.equal(record.contentBytes, 1, "both names share one inode");
});

test("of two entries for one path in a layer the last is used, regardless of their types", async (t) => {
  const { blob } = await imported(
    t,
    await imageOf([
      ...[file("f", "one"), hardlink("first", "f"), file("./f", "two")],
      ...[directory("d"), file("d/below"), file("d", "now a file")],
      ...[symlink("s", "/etc"), directory("s"), file("s/x")],
      ...[file("p/q"), file("p", "now a file")],
      ...[file("dev"), { name: "dev", type: "character-device" as const }],
    ]),
  );
  assert.deepEqual(await pathsOf(blob), ["d", "f", "first", "p", "s", "s/x"]);
  assert.equal(await catSquashfs(blob, "f"), "two");
  assert.equal(await catSquashfs(blob, "first"), "one");
});

test("an entry below a link or file of a lower layer replaces it with a directory, as in an overlay", async (t) => {
  const lower = [directory("usr/bin"), file("usr/bin/sh"), symlink("bin", "usr/bin"), file("was-file")];
  const { blob } = await imported(t, await imageOf(lower, [file("bin/tool", "T"), file("was-file/x")]));
  const lines = await listSquashfs(blob);
  assert.ok(lines.includes("drwxr-xr-x 0/0 bin"), lines.join());
  assert.deepEqual(await pathsOf(blob), [
    ...["bin", "bin/tool", "usr", "usr/bin", "usr/bin/sh", "was-file", "was-file/x"],
  ]);
});

test("from an index for linux and windows the linux image is imported, even if the other is not in the archive", async (t) => {
  const files = await imageOf([file("a")]);
  const [mine = {}] = indexOf(files).manifests;
  const linux = { ...mine, platform: { os: "linux", architecture: "x86_64" } };
  const other = { mediaType: manifestType, digest: `sha256:${"ab".repeat(32)}`, size: 9 };
  const windows = { ...other, platform: { os: "windows", architecture: "amd64", "os.version": "10.0" } };
  const unknownDigest = { ...windows, digest: `sha512:${"ab".repeat(64)}` };
  const attestation = { ...other, platform: { os: "unknown", architecture: "unknown" } };
  const nested = putBlob(files, { manifests: [windows, unknownDigest, attestation, linux] });
  putIndex(files, [{ mediaType: indexType, ...nested }]);
  await imported(t, files);
  putIndex(files, [windows, attestation]);
  await refused(t, files, "unsupported", /for windows\/amd64 and none for linux\/amd64/);
});

test("when an index has no platforms, the configs decide", async (t) => {
  const files = await imageOf([file("a")]);
  const arm = ociFiles({ layers: await layersOf([file("b")]), document: { architecture: "arm64" } });
  const both = [...indexOf(arm).manifests, ...indexOf(files).manifests];
  const merged = new Map([...arm, ...files]);
  const nested = putBlob(merged, { manifests: both });
  // Old tools leave out the media type, too.
  putIndex(merged, [nested]);
  const { blob } = await imported(t, merged);
  assert.deepEqual(await pathsOf(blob), ["a"]);
  await refused(t, arm, "unsupported", /for linux\/arm64 and none for linux\/amd64/);
});

test("of several variants of an architecture the lowest is imported", async (t) => {
  const [v1, v3] = [await imageOf([file("v1")]), await imageOf([file("v3")])];
  const entry = (files: Files, variant: string) => ({
    ...indexOf(files).manifests[0],
    platform: { os: "linux", architecture: "amd64", variant },
  });
  const files = putIndex(new Map([...v1, ...v3]), [entry(v3, "v3"), entry(v1, "v1")]);
  assert.deepEqual(await pathsOf((await imported(t, files)).blob), ["v1"]);
});

test("signatures, attestations and artifacts beside an image are ignored", async (t) => {
  const files = await imageOf([file("a")]);
  const [mine = {}] = indexOf(files).manifests;
  const payload = { mediaType: "application/vnd.dev.cosign.simplesigning.v1+json", ...putBlob(files, "x") };
  const config = (content: unknown, mediaType: string) => ({ mediaType, ...putBlob(files, content) });
  const diffIds = [payload.digest];
  const signature = {
    config: config(
      { architecture: "", os: "", rootfs: { type: "layers", diff_ids: diffIds } },
      "application/vnd.oci.image.config.v1+json",
    ),
    layers: [payload],
  };
  const sbom = {
    artifactType: "application/spdx+json",
    subject: mine,
    config: config({}, "application/vnd.oci.empty.v1+json"),
    layers: [{ mediaType: "application/spdx+json", ...putBlob(files, { sbom: 1 }) }],
  };
  const beside = [signature, sbom].map((one) => ({ mediaType: manifestType, ...putBlob(files, one) }));
  putIndex(files, [...beside, { ...mine, annotations: { "org.opencontainers.image.ref.name": "r/a:1" } }]);
  assert.deepEqual((await imported(t, files)).record.names, ["r/a:1"]);
  putIndex(files, beside);
  await refused(t, files, "unsupported", /a layer of type|image config of type/);
});

test("the same image in two compressions counts as one image", async (t) => {
  const layers = await layersOf([file("a")]);
  const [gzip, zstd] = [ociFiles({ layers }), ociFiles({ layers, compression: "zstd" })];
  const manifests = [...indexOf(gzip).manifests, ...indexOf(zstd).manifests];
  await imported(t, putIndex(new Map([...gzip, ...zstd]), manifests));
});

test("several images without a given name are refused, and the error lists their names", async (t) => {
  const one = ociFiles({ layers: await layersOf([file("1")]), name: "one:1" });
  const two = ociFiles({ layers: await layersOf([file("2")]), name: "two:2" });
  const manifests = [...indexOf(one).manifests, ...indexOf(two).manifests];
  const files = putIndex(new Map([...one, ...two]), manifests);
  await refused(t, files, "ambiguous", /2 images: one:1, two:2/);
});

test("the compression of a layer is detected, not taken from its media type", async (t) => {
  for (const compression of ["none", "gzip", "zstd"] as const)
    for (const suffix of ["", "+gzip", "+zstd"]) {
      const files = ociFiles({ layers: await layersOf([file("a")]), compression });
      const mediaType = `application/vnd.oci.image.layer.v1.tar${suffix}`;
      const changed = withManifest(files, ({ layers }) => Object.assign(layers[0] ?? {}, { mediaType }));
      assert.deepEqual(await pathsOf((await imported(t, changed)).blob), ["a"]);
    }
});

test("a foreign layer in the archive is imported; a missing one is named in the error", async (t) => {
  for (const mediaType of [
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  ]) {
    const files = withManifest(await imageOf([file("a")]), ({ layers }) =>
      Object.assign(layers[0] ?? {}, { mediaType }),
    );
    await imported(t, files);
    const [layer] = [...files.keys()];
    await refused(
      t,
      new Map([...files].filter(([name]) => name !== layer)),
      "unsupported",
      /not in the archive/,
    );
  }
});

test("a document embedded in its descriptor need not be in the archive, but must match the digest", async (t) => {
  const files = await imageOf([file("a")]);
  const [entry = {}] = indexOf(files).manifests;
  const name = `blobs/sha256/${String(entry.digest).slice("sha256:".length)}`;
  const data = files.get(name)?.toString("base64");
  files.delete(name);
  await imported(t, putIndex(files, [{ ...entry, data }]));
  await refused(
    t,
    putIndex(files, [{ ...entry, data: "e30=" }]),
    "digest_mismatch",
    /the manifest has the digest/,
  );
});

test("a layer of zeros that shrinks a thousandfold is imported", async (t) => {
  const files = await imageOf([file("var/log/lastlog", Buffer.alloc(80 * 1024 ** 2))]);
  const { record } = await imported(t, files);
  assert.equal(record.contentBytes, 80 * 1024 ** 2);
});

test("malformed volumes and ports do not make an import fail", async (t) => {
  const config = {
    Volumes: { data: {}, "['/data']": {}, "": {}, "/ok": {} },
    ExposedPorts: { "/tcp": {}, "127.0.0.1:80/tcp": {}, "33060-33061/tcp": {}, "0/tcp": {} },
    OnBuild: null,
    Labels: { a: null },
  };
  const { record } = await imported(t, ociFiles({ layers: await layersOf([file("a")]), config }));
  assert.deepEqual(record.config.volumes, ["/ok"]);
  assert.deepEqual(record.config.exposedPorts, ["0/tcp", "33060-33061/tcp"]);
  assert.deepEqual(record.warnings, []);
});

test("malformed variables are left out with a warning; commands and signals are read as docker does", async (t) => {
  const config = { Env: ["A=b", "FOO", "=8300"], Cmd: "/bin/sh", StopSignal: "sigquit" };
  const { record } = await imported(t, ociFiles({ layers: await layersOf([file("a")]), config }));
  assert.deepEqual(record.config.env, ["A=b"]);
  assert.deepEqual([record.config.cmd, record.config.stopSignal], [["/bin/sh"], "SIGQUIT"]);
  assert.match(record.warnings.join(), /Env holds "FOO".*Env holds "=8300"/);
  for (const [given, kept] of [
    ["RTMIN+3", "SIGRTMIN+3"],
    ["37", "37"],
    ["SIGRTMIN+3", "SIGRTMIN+3"],
  ]) {
    const odd = ociFiles({ layers: await layersOf([file("a")]), config: { StopSignal: given } });
    assert.equal((await imported(t, odd)).record.config.stopSignal, kept);
  }
});

test("the mode of a root directory that only root can enter is kept, with a warning that a second import repeats", async (t) => {
  const { store } = await temporaryStore(t);
  const rootfs = await tarOf([directory("./", { mode: 0o700 }), file("./a")]);
  const { warnings } = await store.importStream(stream(rootfs));
  assert.match(warnings.join(), /mode 0700: only root can read "\/"/);
  assert.deepEqual((await store.importStream(stream(rootfs))).warnings, warnings);
  const open = await store.importStream(stream(await tarOf([directory("./"), file("./a")])));
  assert.deepEqual(open.warnings, []);
});

test("extended attributes that would control an overlay are dropped, others of the image are kept", async (t) => {
  const { store } = await temporaryStore(t);
  const pax = Object.fromEntries(
    [
      "trusted.overlay.redirect",
      "trusted.overlay.opaque",
      "trusted.overlay.metacopy",
      "user.overlay.redirect",
    ].map((name) => [`SCHILY.xattr.${name}`, "/etc"]),
  );
  const steering = await tarOf([directory("d", { pax }), file("f", "x", { pax })]);
  const plain = await tarOf([directory("d"), file("f", "x")]);
  const own = await tarOf([directory("d"), file("f", "x", { pax: { "SCHILY.xattr.user.k": "v" } })]);
  const [a, b, c] = [
    await store.importStream(stream(steering)),
    await store.importStream(stream(plain)),
    await store.importStream(stream(own)),
  ];
  assert.equal(a.blob, b.blob);
  assert.notEqual(c.blob, b.blob);
});

test("malformed names in an archive are ignored", async (t) => {
  const files = dockerFiles({ layers: await layersOf([file("a")]), name: "<none>:<none>" });
  assert.deepEqual((await imported(t, files)).record.names, []);
});

test("an image that docker's manifest lists once per name counts as one image", async (t) => {
  const files = dockerFiles({ layers: await layersOf([file("a")]), name: "a:1" });
  const [entry] = JSON.parse(files.get("manifest.json")?.toString() ?? "");
  const list = [entry, { ...entry, RepoTags: ["b:2"] }];
  files.set("manifest.json", Buffer.from(JSON.stringify(list)));
  assert.deepEqual((await imported(t, files)).record.names, ["a:1", "b:2"]);
});

test("a directory of skopeo and podman (dir:, docker-dir) is imported", async (t) => {
  const image = { layers: await layersOf([file("a")]) };
  const [layer = Buffer.alloc(0)] = image.layers;
  const packed = gzipSync(layer);
  const config = configOf(image);
  const described = (bytes: Buffer) => ({ digest: `sha256:${sha256(bytes)}`, size: bytes.length });
  const manifest = {
    schemaVersion: 2,
    config: { mediaType: "application/vnd.docker.container.image.v1+json", ...described(config) },
    layers: [{ mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip", ...described(packed) }],
  };
  const files = new Map([
    ["version", Buffer.from("Directory Transport Version: 1.1\n")],
    ["manifest.json", Buffer.from(JSON.stringify(manifest))],
    [sha256(config), config],
    [sha256(packed), packed],
  ]);
  assert.equal((await imported(t, files)).record.id, `sha256:${sha256(config)}`);
});

test("images in obsolete formats are refused, and the error names the format", async (t) => {
  const old = new Map([
    ["repositories", Buffer.from("{}")],
    [`${"a".repeat(64)}/layer.tar`, await tarOf([file("a")])],
  ]);
  await refused(t, old, "unsupported", /docker before 1\.10/);
  const files = await imageOf([file("a")]);
  const mediaType = "application/vnd.docker.distribution.manifest.v1+prettyjws";
  putIndex(files, [{ ...indexOf(files).manifests[0], mediaType }]);
  await refused(t, files, "unsupported", /schema 1/);
});

test("data after the end of a layer's archive is hashed and otherwise ignored", async (t) => {
  const layer = Buffer.concat([
    await tarOf([file("a")]),
    await tarOf([file("../evil")]),
    Buffer.from("junk"),
  ]);
  const { blob } = await imported(t, ociFiles({ layers: [layer] }));
  assert.deepEqual(await pathsOf(blob), ["a"]);
});
