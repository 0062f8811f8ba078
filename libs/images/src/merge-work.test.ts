import assert from "node:assert/strict";
import { test } from "node:test";
import { ImageError } from "./image-error.ts";
import { mergedTar, mergeLayers } from "./layers.ts";
import { defaultImageLimits, type ImageLimits } from "./limits.ts";
import { MergedTree, walk } from "./merged-tree.ts";
import { packTar } from "./pack-tar.ts";
import type { TarRecord } from "./tar-writer.ts";

const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
const record = (type: TarRecord["type"], path: string, link = ""): TarRecord => ({
  type,
  path,
  link,
  ...plain,
});

/** Runs both passes over a layer with these entries. Returns the bytes of the second pass. */
async function merged(entries: Iterable<TarRecord>, limits: Partial<ImageLimits> = {}, copies = 1) {
  const archive = Buffer.concat(await Array.fromAsync(packTar(entries)));
  const layer = {
    file: { name: "layer", offset: 0, size: archive.length },
    compression: "none",
    stored: undefined,
    diffId: undefined,
  } as const;
  let bytesRead = 0;
  const options = {
    blobs: {
      async *content() {
        bytesRead += archive.length;
        yield archive;
      },
    },
    layers: Array.from({ length: copies }, () => layer),
    limits: { ...defaultImageLimits, ...limits },
    signal: new AbortController().signal,
    onBytes: () => undefined,
  };
  const { tree } = await mergeLayers(options);
  let bytes = 0;
  for await (const chunk of mergedTar(tree, options)) bytes += chunk.length;
  return { tree, bytes, bytesRead };
}

test("30,000 hard links to one file are merged in one pass", async () => {
  function* entries() {
    yield record("file", "a");
    for (let i = 0; i < 30_000; i++) yield record("hardlink", `d${i % 600}/${i}`, "a");
  }
  const { bytes } = await merged(entries());
  assert.equal(bytes, 512 * (30_001 + 600) + 1024);
});

/** CPU time, in microseconds, until the first byte of a merged archive with `count` links to one file. All links are sorted by then. */
async function linkingUs(count: number): Promise<number> {
  const archive = Buffer.concat(await Array.fromAsync(packTar([record("file", "a")])));
  const layer = {
    file: { name: "layer", offset: 0, size: archive.length },
    compression: "none",
    stored: undefined,
    diffId: undefined,
  } as const;
  const tree = new MergedTree();
  const attributes = { ...plain, xattrs: new Map<string, string>() };
  const inode = { layer: 0, ordinal: 0, size: 0, attributes };
  const changes = Array.from({ length: count }, (_, i) => ({ kind: "file" as const, path: `${i}`, inode }));
  tree.applyLayer(changes);
  const options = {
    blobs: {
      async *content() {
        yield archive;
      },
    },
    layers: [layer],
    limits: defaultImageLimits,
    signal: new AbortController().signal,
    onBytes: () => undefined,
  };
  const before = process.cpuUsage();
  for await (const _ of mergedTar(tree, options)) break;
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

// Four times as many links take about four times as long. With quadratic work they would take sixteen times as long.
test("hard links take CPU time in proportion to their number", async () => {
  const [few, many]: [number[], number[]] = [[], []];
  for (let round = 0; round < 4; round++) {
    few.push(await linkingUs(5_000));
    many.push(await linkingUs(20_000));
  }
  assert.ok(Math.min(...many) < 9 * Math.min(...few), `${many} µs, ${few} µs`);
});

test("implied directories count against the limits", async () => {
  const deep = [record("file", `${"x/".repeat(1000)}y`)];
  await assert.rejects(merged(deep, { maxEntries: 900 }), { kind: "too_large", message: /900 entries/ });
  // 1000 directories, the last with a path of 1999 bytes: 1 MB of paths in one entry of 2 KB.
  const limits = { maxMetadataBytes: 500_000 };
  await assert.rejects(merged(deep, limits), { kind: "too_large", message: /names and attributes/ });
  assert.equal([...walk((await merged(deep)).tree.root)].length, 1001);
});

test("each of a thousand entries below one deep directory takes time proportional to its depth", () => {
  let implied = 0;
  const tree = new MergedTree(() => {
    implied += 1;
  });
  const attributes = { ...plain, xattrs: new Map<string, string>() };
  const parent = "x/".repeat(1000);
  const changes = Array.from({ length: 1000 }, (_, i) => ({
    kind: "fifo" as const,
    path: `${parent}${i}`,
    attributes,
  }));
  tree.applyLayer(changes);
  assert.equal(implied, 1000);
  assert.equal([...walk(tree.root)].length, 2000);
});

test("a directory with too many entries for mksquashfs is refused, and the error names it", async () => {
  const entries = Array.from({ length: 11 }, (_, i) => record("file", `big/${i}`));
  await assert.rejects(merged(entries, { maxDirectoryEntries: 10 }), {
    kind: "too_large",
    message: /"big" of the image has 11 entries/,
  });
  await merged(entries, { maxDirectoryEntries: 11 });
});

test("a blob used for many layers is bounded by the total bytes read", async () => {
  const entries = [record("file", "a")];
  await assert.rejects(merged(entries, { maxUnpackedBytes: 20_000 }, 20), (error: unknown) => {
    assert.ok(error instanceof ImageError && error.kind === "too_large");
    return /as stored/.test(error.message);
  });
});
