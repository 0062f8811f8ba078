/** The two passes over an image's layers: the first verifies and merges, the second emits the merged entries. */
import type { ArchiveFile } from "./archive-index.ts";
import { decompress } from "./decompress.ts";
import { type Digest, measured, verifyDigest } from "./digest.ts";
import { ImageError, quoteName } from "./image-error.ts";
import type { ImageLimits } from "./limits.ts";
import { type Inode, type LayerChange, MergedTree, type TreeNode, walk } from "./merged-tree.ts";
import { EntryBudget, layerChange } from "./read-layer.ts";
import type { LayerBlob } from "./source-image.ts";
import type { TarEntry } from "./tar-entry.ts";
import { readTar } from "./tar-reader.ts";
import { type TarRecord, tarEnd, tarHeader, tarPadding } from "./tar-writer.ts";

/** Source of a blob's bytes; every call returns the same bytes. */
export interface BlobSource {
  content(file: ArchiveFile): AsyncIterable<Buffer>;
}

export interface LayersOptions {
  readonly blobs: BlobSource;
  readonly layers: readonly LayerBlob[];
  readonly limits: ImageLimits;
  readonly signal: AbortSignal;
  /** Called with the bytes just read (first pass) or emitted (second pass). */
  readonly onBytes: (bytes: number) => void;
}

export interface MergedLayers {
  readonly tree: MergedTree;
  /** Digests of the uncompressed layers, bottom first. */
  readonly diffIds: readonly Digest[];
  /** Size of all files in the merged tree, in bytes. */
  readonly contentBytes: number;
  /** The latest modification time in the tree, in seconds since 1970. */
  readonly newestMtime: number;
  /** Device nodes that were left out. */
  readonly droppedDevices: number;
}

/** First pass: verifies every digest and name, and merges. Throws an `ImageError` of most kinds. */
export async function mergeLayers(options: LayersOptions): Promise<MergedLayers> {
  const { layers, limits } = options;
  if (layers.length > limits.maxLayers)
    throw new ImageError(
      "too_large",
      `the image has ${layers.length} layers`,
      `a node takes up to ${limits.maxLayers}; squash the image`,
    );
  const budget = new EntryBudget(limits);
  const tree = new MergedTree((pathBytes) => budget.spendImplied(pathBytes));
  checkStoredBytes(layers, limits);
  const verified = new Set<Digest>();
  const diffIds: Digest[] = [];
  let unpackedBytes = 0;
  for (const [index, layer] of layers.entries()) {
    await verifyStored(layer, index, options, verified);
    const maxBytes = limits.maxUnpackedBytes - unpackedBytes;
    const { diffId, size, changes } = await readChanges(layer, { index, maxBytes, budget }, options);
    if (layer.diffId !== undefined) verifyDigest(`layer ${index + 1}`, diffId, layer.diffId);
    tree.applyLayer(changes);
    diffIds.push(diffId);
    unpackedBytes += size;
  }
  return { tree, diffIds, ...totals(tree, limits), droppedDevices: budget.devices };
}

/** An image may use one blob for many layers, so the stored bytes are bounded too. */
function checkStoredBytes(layers: readonly LayerBlob[], { maxUnpackedBytes }: ImageLimits): void {
  const storedBytes = layers.reduce((sum, { file }) => sum + file.size, 0);
  if (storedBytes > maxUnpackedBytes)
    throw new ImageError(
      "too_large",
      `the layers of the image have ${storedBytes} bytes as stored`,
      "make the image smaller, or raise the node's image limits",
    );
}

async function verifyStored(
  layer: LayerBlob,
  index: number,
  options: LayersOptions,
  verified: Set<Digest>,
): Promise<void> {
  const { stored } = layer;
  if (stored === undefined || verified.has(stored.digest)) return;
  verified.add(stored.digest);
  const whole = measured(options.blobs.content(layer.file), (digest) =>
    verifyDigest(`layer ${index + 1} as stored`, digest, stored.digest),
  );
  for await (const _ of whole) options.signal.throwIfAborted();
}

async function readChanges(
  layer: LayerBlob,
  at: { index: number; maxBytes: number; budget: EntryBudget },
  options: LayersOptions,
): Promise<{ diffId: Digest; size: number; changes: LayerChange[] }> {
  const changes: LayerChange[] = [];
  let result: { diffId: Digest; size: number } | undefined;
  const tar = measured(uncompressed(layer, at.index, at.maxBytes, options), (diffId, size) => {
    result = { diffId, size };
  });
  let ordinal = 0;
  for await (const entry of readTar(tar, { requireEndMarker: layer.diffId === undefined })) {
    const change = layerChange(entry, { layer: at.index, ordinal: ordinal++ }, at.budget);
    if (change !== undefined) changes.push(change);
  }
  if (result === undefined) throw new Error("a layer was read without a digest");
  return { ...result, changes };
}

async function* uncompressed(
  layer: LayerBlob,
  index: number,
  maxBytes: number,
  options: LayersOptions,
): AsyncGenerator<Buffer> {
  const { blobs, signal, onBytes } = options;
  const stored = counted(blobs.content(layer.file), signal, onBytes);
  yield* decompress(stored, layer.compression, {
    what: `layer ${index + 1}`,
    maxBytes,
  });
}

async function* counted(
  source: AsyncIterable<Buffer>,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    signal.throwIfAborted();
    onBytes(chunk.length);
    yield chunk;
  }
}

/** Second pass: the merged tree as one tar archive, in an order that depends only on the layers. */
export async function* mergedTar(tree: MergedTree, options: LayersOptions): AsyncGenerator<Buffer> {
  const files = new Map<Inode, string[]>();
  for (const [path, node] of walk(tree.root)) {
    if (node.kind !== "file") yield tarHeader(plainRecord(path, node));
    else {
      const paths = files.get(node.inode);
      if (paths === undefined) files.set(node.inode, [path]);
      else paths.push(path);
    }
  }
  const perLayer = options.layers.map(() => new Map<number, { inode: Inode; paths: string[] }>());
  for (const [inode, paths] of files) perLayer[inode.layer]?.set(inode.ordinal, { inode, paths });
  for (const [index, layer] of options.layers.entries()) {
    const wanted = perLayer[index];
    if (wanted === undefined || wanted.size === 0) continue;
    const quiet = { ...options, onBytes: () => undefined };
    const tar = uncompressed(layer, index, options.limits.maxUnpackedBytes, quiet);
    let ordinal = 0;
    for await (const entry of readTar(tar, { requireEndMarker: false })) {
      const file = wanted.get(ordinal++);
      if (file !== undefined) yield* fileRecords(file.inode, file.paths, entry, options.onBytes);
    }
  }
  yield tarEnd;
}

async function* fileRecords(
  inode: Inode,
  paths: readonly string[],
  entry: TarEntry,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  const [first = "", ...links] = paths;
  const { size, attributes } = inode;
  yield tarHeader({ type: "file", path: first, size, ...attributes });
  for await (const chunk of entry.body) {
    onBytes(chunk.length);
    yield chunk;
  }
  yield tarPadding(size);
  for (const path of links)
    yield tarHeader({ type: "hardlink", path, link: first, ...attributes, xattrs: none });
}

const none: ReadonlyMap<string, string> = new Map();

function plainRecord(path: string, node: Exclude<TreeNode, { kind: "file" }>): TarRecord {
  switch (node.kind) {
    case "directory":
    case "fifo":
      return { type: node.kind, path, ...node.attributes };
    case "symlink":
      return { type: "symlink", path, link: node.target, ...node.attributes };
    default:
      return node satisfies never;
  }
}

function totals(
  tree: MergedTree,
  { maxDirectoryEntries }: ImageLimits,
): { contentBytes: number; newestMtime: number } {
  const inodes = new Set<Inode>();
  const refuseLarge = (path: string, node: TreeNode) => {
    if (node.kind === "directory" && node.children.size > maxDirectoryEntries)
      throw new ImageError(
        "too_large",
        `the directory ${quoteName(path)} of the image has ${node.children.size} entries`,
        `a node takes up to ${maxDirectoryEntries} in one directory; spread them`,
      );
  };
  let newestMtime = 0;
  refuseLarge("/", tree.root);
  for (const [path, node] of walk(tree.root)) {
    refuseLarge(path, node);
    if (node.kind === "file") inodes.add(node.inode);
    const { mtime } = node.kind === "file" ? node.inode.attributes : node.attributes;
    newestMtime = Math.max(newestMtime, mtime);
  }
  const contentBytes = [...inodes].reduce((sum, { size }) => sum + size, 0);
  return { contentBytes, newestMtime };
}
