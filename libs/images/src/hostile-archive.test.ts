import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { ImageErrorKind } from "./image-error.ts";
import type { ImportOptions } from "./image-store.ts";
import type { ImageLimits } from "./limits.ts";
import {
  archiveOf,
  directory,
  dockerFiles,
  type Entry,
  file,
  hardlink,
  ociFiles,
  sha256,
  stream,
  symlink,
  type TestImage,
  tarOf,
  withManifest,
} from "./testing/build-archive.ts";
import { pathsOf } from "./testing/inspect-squashfs.ts";
import { storeFiles, temporaryStore } from "./testing/temporary-store.ts";

const layer = await tarOf([directory("etc"), file("etc/hostname", "x".repeat(5000)), file("etc/hosts")]);
const image: TestImage = { layers: [layer] };

interface Refusal {
  readonly archive: Buffer;
  readonly kind: ImageErrorKind;
  readonly message?: RegExp;
  readonly limits?: Partial<ImageLimits>;
  readonly options?: ImportOptions;
}

/** Asserts that the import fails with this kind and a hint, and leaves nothing in the store. */
async function refused(t: TestContext, refusal: Refusal): Promise<void> {
  const { store, root } = await temporaryStore(t, { limits: { minFreeBytes: 0, ...refusal.limits } });
  const { kind, message = /\(.+\)/ } = refusal;
  await assert.rejects(store.importStream(stream(refusal.archive, 65536), refusal.options), {
    kind,
    message,
  });
  assert.deepEqual(await storeFiles(root), []);
  assert.deepEqual(await store.list(), []);
}

const badLayers: [string, ImageErrorKind, readonly Entry[]][] = [
  ["an absolute name with ..", "unsafe_path", [file("/../etc/passwd")]],
  ["a name with ..", "unsafe_path", [file("a/../../etc/passwd")]],
  ["a name longer than the kernel allows", "unsafe_path", [file(`${"x".repeat(200)}/`.repeat(21))]],
  ["a name component longer than 255 bytes", "unsafe_path", [file("x".repeat(256))]],
  ["a hard link to the root", "unsafe_path", [hardlink("passwd", "/")]],
  ["a file as the root", "invalid_archive", [file("/./")]],
  ["a hard link that leads out of the image", "unsafe_path", [hardlink("passwd", "../etc/passwd")]],
  ["a hard link to nothing", "invalid_archive", [hardlink("a", "missing")]],
  ["a hard link to a directory", "invalid_archive", [directory("d"), hardlink("a", "d")]],
  ["a hard link to a later file", "invalid_archive", [hardlink("a", "b"), file("b")]],
  ["a symbolic link that leads out of the image", "unsafe_path", [symlink("a/b", "../../etc")]],
  ["a file below a symbolic link", "unsafe_path", [symlink("a", "/etc"), file("a/passwd")]],
  ["a hard link through a symbolic link", "invalid_archive", [symlink("a", "etc"), hardlink("b", "a/hosts")]],
  ["a file below a file", "invalid_archive", [file("a"), file("a/b")]],
  ["a whiteout of nothing", "unsafe_path", [file("d/.wh.")]],
  ["a whiteout of the parent", "unsafe_path", [file("d/.wh...")]],
  ["a file below a whiteout", "unsafe_path", [file(".wh.d/file")]],
];

for (const [what, kind, entries] of badLayers)
  test(`a layer with ${what} is refused`, async (t) => {
    const files = ociFiles({ layers: [layer, await tarOf(entries)] });
    await refused(t, { archive: await archiveOf(files), kind });
  });

test("a whiteout or device below a lower layer's symbolic link has no effect", async (t) => {
  const lower = await tarOf([directory("real"), file("real/x"), symlink("link", "real")]);
  const { store } = await temporaryStore(t);
  const hides = [
    file("link/.wh.x"),
    file("link/.wh..wh..opq"),
    { name: "link/x", type: "character-device" as const },
  ];
  const layers = [lower, await tarOf(hides)];
  const record = await store.importStream(stream(await archiveOf(ociFiles({ layers }))));
  assert.deepEqual(await pathsOf(store.blobPath(record)), ["link", "real", "real/x"]);
});

/** An archive of the image with a changed manifest and correct digests. */
const changedManifest = (change: Parameters<typeof withManifest>[1]) =>
  archiveOf(withManifest(ociFiles(image), change));

test("a layer of an unknown media type is refused", async (t) => {
  const encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
  const archive = await changedManifest(({ layers }) =>
    Object.assign(layers[0] ?? {}, { mediaType: encrypted }),
  );
  await refused(t, { archive, kind: "unsupported", message: /encrypted/ });
});

test("an artifact that is not a container image is refused", async (t) => {
  const archive = await changedManifest(({ config }) =>
    Object.assign(config, { mediaType: "application/x" }),
  );
  await refused(t, { archive, kind: "unsupported", message: /image config/ });
});

test("a layer whose size differs from the manifest is refused", async (t) => {
  const archive = await changedManifest(({ layers }) => Object.assign(layers[0] ?? {}, { size: 7 }));
  await refused(t, { archive, kind: "digest_mismatch" });
});

test("a manifest with more layers than the config is refused", async (t) => {
  const archive = await changedManifest((manifest) => Object.assign(manifest, { layers: [] }));
  await refused(t, { archive, kind: "invalid_archive", message: /0 layers, the config 1/ });
});

test("every blob whose digest does not match its name is refused", async (t) => {
  const files = ociFiles(image);
  for (const name of [...files.keys()].filter((key) => key.startsWith("blobs/"))) {
    const changed = Buffer.from(files.get(name) ?? "");
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    const archive = await archiveOf(new Map([...files, [name, changed]]));
    await refused(t, { archive, kind: "digest_mismatch" });
  }
});

test("a layer whose uncompressed digest differs from the config is refused", async (t) => {
  const other = await tarOf([file("etc/hosts", "evil")]);
  const rootfs = { type: "layers", diff_ids: [`sha256:${sha256(other)}`] };
  const files = ociFiles({ layers: [layer], document: { rootfs } });
  await refused(t, {
    archive: await archiveOf(files),
    kind: "digest_mismatch",
    message: /layer 1 has the digest/,
  });
});

test("a docker archive whose config or layer was changed is refused", async (t) => {
  const files = dockerFiles(image);
  const [config = "", layerName = ""] = [...files.keys()];
  const otherConfig = Buffer.from(files.get(config)?.toString().replace("linux", "linux ") ?? "");
  const changes: [string, Buffer][] = [
    [config, otherConfig],
    [layerName, await tarOf([file("evil")])],
  ];
  for (const change of changes) {
    const archive = await archiveOf(new Map([...files, change]));
    await refused(t, { archive, kind: "digest_mismatch" });
  }
});

test("an archive that lacks a blob is refused", async (t) => {
  const files = ociFiles(image);
  files.delete([...files.keys()][0] ?? "");
  await refused(t, { archive: await archiveOf(files), kind: "invalid_archive", message: /which is missing/ });
});

test("when an archive contains a blob twice, the last one is verified", async (t) => {
  const entries = [...ociFiles(image)].map(([name, content]) => ({ name, content }));
  const forged = { name: entries[0]?.name ?? "", content: Buffer.from("forged") };
  await refused(t, { archive: await tarOf([...entries, forged]), kind: "digest_mismatch" });
  const { store } = await temporaryStore(t);
  await store.importStream(stream(await tarOf([forged, ...entries])));
});

test("a truncated archive is refused", async (t) => {
  const archives = [await archiveOf(ociFiles(image)), await archiveOf(dockerFiles(image)), layer];
  for (const archive of archives)
    for (const part of [0.1, 0.5, 0.9, 1 - 1024 / archive.length])
      await refused(t, { archive: archive.subarray(0, archive.length * part), kind: "invalid_archive" });
});

test("a truncated compressed archive is refused", async (t) => {
  const archive = await archiveOf(ociFiles(image));
  for (const packed of [gzipSync(archive), zstdCompressSync(archive)])
    await refused(t, { archive: packed.subarray(0, packed.length - 9), kind: "invalid_archive" });
});

test("a file that is not an archive is refused", async (t) => {
  await refused(t, { archive: Buffer.alloc(0), kind: "invalid_archive", message: /empty/ });
  await refused(t, { archive: Buffer.from("#!/bin/sh\n".repeat(200)), kind: "invalid_archive" });
  await refused(t, { archive: Buffer.from("fd377a585a000000", "hex"), kind: "unsupported", message: /xz/ });
  await refused(t, { archive: Buffer.from("425a6839314159", "hex"), kind: "unsupported", message: /bzip2/ });
});

test("documents that are not JSON or have wrong types are refused", async (t) => {
  const files = ociFiles(image);
  for (const text of ["{", "[]", '{"manifests":{}}', '{"manifests":[{"mediaType":1}]}', '{"manifests":[]}']) {
    const archive = await archiveOf(new Map([...files, ["index.json", Buffer.from(text)]]));
    await refused(t, { archive, kind: "invalid_archive" });
  }
  for (const config of [
    { Env: "A=b" },
    { Cmd: 7 },
    { Labels: { a: 1 } },
    { User: "app " },
    { StopSignal: "a b" },
  ])
    await refused(t, {
      archive: await archiveOf(ociFiles({ ...image, config })),
      kind: "invalid_archive",
      message: /^the image config: .*\(the image config is wrong/,
    });
});

test("an image for another architecture or system is refused", async (t) => {
  for (const document of [{ architecture: "arm64" }, { os: "windows" }])
    await refused(t, { archive: await archiveOf(ociFiles({ ...image, document })), kind: "unsupported" });
});

test("decompressed bytes are bounded, for a layer and for the whole archive", async (t) => {
  const zeros = await tarOf([file("zeros", Buffer.alloc(8 * 1024 ** 2))]);
  for (const compression of ["gzip", "zstd"] as const) {
    const archive = await archiveOf(ociFiles({ layers: [zeros], compression }));
    const limits = { maxUnpackedBytes: 7 * 1024 ** 2 };
    await refused(t, { archive, kind: "too_large", message: /layer 1 is larger than/, limits });
  }
  const limits = { maxArchiveBytes: 7 * 1024 ** 2 };
  const archive = zstdCompressSync(zeros);
  await refused(t, { archive, kind: "too_large", message: /the archive is larger than/, limits });
});

test("limits on bytes, entries, metadata and layers are enforced", async (t) => {
  const archive = await archiveOf(ociFiles({ layers: [layer, layer], compression: "none" }));
  const overruns: Partial<ImageLimits>[] = [
    { maxArchiveBytes: 10_000 },
    { maxUnpackedBytes: layer.length * 2 - 1 },
    { maxEntries: 5 },
    { maxMetadataBytes: 40 },
    { maxLayers: 1 },
  ];
  for (const limits of overruns) await refused(t, { archive, kind: "too_large", limits });
  const packed = gzipSync(await archiveOf(ociFiles({ layers: [layer] })));
  await refused(t, { archive: packed, kind: "too_large", limits: { maxArchiveBytes: packed.length } });
});

test("an import that would leave too little free space is refused", async (t) => {
  const limits = { minFreeBytes: Number.MAX_SAFE_INTEGER };
  await refused(t, { archive: await archiveOf(ociFiles(image)), kind: "no_space", limits });
});

test("a config for an image that has its own, and a malformed name, are refused", async (t) => {
  const archive = await archiveOf(ociFiles(image));
  await refused(t, { archive, kind: "unsupported", options: { config: { cmd: ["x"] } } });
  await refused(t, { archive, kind: "invalid_reference", options: { name: "../Escape" } });
});

test("a config that is too large is refused, and lists are bounded before they are read", async (t) => {
  const layers = [layer];
  const large = ociFiles({ layers, config: { Labels: { a: "x".repeat(2 * 1024 ** 2) } } });
  await refused(t, { archive: await archiveOf(large), kind: "too_large", message: /the image config has/ });
  const many = ociFiles({ layers, config: { Env: Array.from({ length: 10_001 }, () => "A=b") } });
  await refused(t, { archive: await archiveOf(many), kind: "too_large", message: /10001 items/ });
  const index = new Map([...many, ["index.json", Buffer.from(`{"manifests":[${"{},".repeat(20_000)}{}]}`)]]);
  await refused(t, { archive: await archiveOf(index), kind: "too_large", message: /20001 items/ });
  const nested = new Map([...many, ["index.json", Buffer.from("[".repeat(2_000_000))]]);
  await refused(t, { archive: await archiveOf(nested), kind: "invalid_archive", message: /not JSON/ });
});
