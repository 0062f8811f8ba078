/**
 * Turns a received archive into a squashfs file. All code that reads untrusted input is below this file. It usually runs in a separate
 * process (`conversion-process.ts`), but does not depend on that.
 */
import { createReadStream } from "node:fs";
import { stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { ArchiveIndex } from "./archive-index.ts";
import { type Digest, digestOf, measured } from "./digest.ts";
import { findDockerImage } from "./docker-archive.ts";
import { FreeSpace, mapDiskFull } from "./free-space.ts";
import {
  type Architecture,
  checkImageConfig,
  type ImageConfig,
  parseImageDocument,
  writeImageDocument,
} from "./image-config.ts";
import { ImageError } from "./image-error.ts";
import type { StoredImage } from "./image-record.ts";
import { type MergedLayers, mergedTar, mergeLayers } from "./layers.ts";
import type { ImageLimits } from "./limits.ts";
import { findOciImage } from "./oci-layout.ts";
import type { ImageName } from "./reference.ts";
import type { LayerBlob, SourceImage } from "./source-image.ts";
import { openSpool, type Spool } from "./spool.ts";
import { writeSquashfs } from "./write-squashfs.ts";

/** The format of an archive. `rootfs` is a tar of a whole root file system, such as `docker export` writes. */
export type ArchiveFormat = "auto" | "oci" | "docker" | "rootfs";

/** Progress of an import. Phases come in this order; `bytesTotal` is absent while it is unknown. */
export interface ImportProgress {
  readonly phase: "receive" | "verify" | "convert" | "store";
  readonly bytesDone: number;
  readonly bytesTotal?: number;
}

/** What to convert, as plain data. */
export interface ConversionJob {
  /** Private directory of this import; the caller removes it afterwards. */
  readonly workDirectory: string;
  /** The received archive, in that directory. */
  readonly received: string;
  readonly format: ArchiveFormat;
  readonly name: ImageName | undefined;
  /** Only for `rootfs`, whose archive has no config. */
  readonly config: Partial<ImageConfig> | undefined;
  readonly architecture: Architecture;
  readonly limits: ImageLimits;
  /** Images that the store has already. If the archive has one of them, the conversion ends early. */
  readonly known: readonly Digest[];
}

export interface ConversionOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ImportProgress) => void;
}

/** The result: an image that the store already has, or a new one with its file at `squashfs`. */
export type ConversionResult = { readonly id: Digest; readonly names: readonly ImageName[] } & (
  | { readonly kind: "known" }
  | { readonly kind: "new"; readonly image: ConvertedImage; readonly squashfs: string }
);

/** An image before it is in a store. */
export type ConvertedImage = Omit<StoredImage, "importedAt" | "createdAt"> & {
  readonly createdAt?: string | undefined;
};

/** Converts in this process or in another one. Throws `ImageError`, or the signal's reason. */
export type ConvertArchive = (job: ConversionJob, options: ConversionOptions) => Promise<ConversionResult>;

type Job = ConversionJob & ConversionOptions;

/** Verifies and converts an archive in the job's directory. */
export const convertArchive: ConvertArchive = async (plain, options) => {
  const job = { ...plain, ...options };
  try {
    return await convertReceived(job);
  } catch (error) {
    throw mapDiskFull(error, job.limits.minFreeBytes);
  }
};

async function convertReceived(job: Job): Promise<ConversionResult> {
  const space = new FreeSpace(job.workDirectory, job.limits.minFreeBytes);
  await using spool = await openSpool(job.received, {
    plain: join(job.workDirectory, "archive.tar"),
    limits: job.limits,
    space,
    signal: job.signal,
    onRead: (bytesDone, bytesTotal) => job.onProgress({ phase: "verify", bytesDone, bytesTotal }),
  });
  const { archive, image: found, layers } = await findImage(spool, job);
  if (found !== undefined && job.known.includes(found.id))
    return { kind: "known", id: found.id, names: found.names };
  const merged = await verify(archive, layers, job);
  const image = found ?? rootfsImage(merged, job);
  if (job.known.includes(image.id)) return { kind: "known", id: image.id, names: image.names };
  const squashfs = await convert({ archive, spool, layers, merged, space }, job);
  const converted = await describe(image, { merged, squashfs, layerCount: layers.length }, job);
  return { kind: "new", id: image.id, names: image.names, image: converted, squashfs };
}

type Identity = Pick<SourceImage, "id" | "document" | "names">;

interface FoundImage {
  readonly archive: ArchiveIndex;
  readonly image: Identity | undefined;
  readonly layers: readonly LayerBlob[];
}

type FindOptions = Pick<ConversionJob, "format" | "name" | "config" | "architecture"> & {
  readonly signal: AbortSignal;
};

/** Finds the image in an archive. A bare root file system has no id until its only layer has been hashed. */
export async function findImage(spool: Spool, job: FindOptions): Promise<FoundImage> {
  const archive = await ArchiveIndex.read(spool, job.signal);
  const format = job.format === "auto" ? detectFormat(archive) : job.format;
  if (format !== "rootfs" && job.config !== undefined)
    throw new ImageError(
      "unsupported",
      "a config for an image that has its own",
      "leave it out, or override it when creating a container",
    );
  const wanted = { name: job.name, architecture: job.architecture };
  switch (format) {
    case "oci":
    case "docker": {
      const image = await (format === "oci" ? findOciImage : findDockerImage)(archive, wanted);
      return { archive, image, layers: image.layers };
    }
    case "rootfs": {
      const file = { name: "the root file system", offset: 0, size: spool.size };
      const layer = { file, compression: "none", stored: undefined, diffId: undefined } as const;
      return { archive, image: undefined, layers: [layer] };
    }
    default:
      return format satisfies never;
  }
}

/** An archive with an OCI layout counts as `oci`, even if `docker save` added its older manifest. */
function detectFormat(archive: ArchiveIndex): Exclude<ArchiveFormat, "auto"> {
  if (archive.has("index.json") && (archive.has("oci-layout") || archive.hasAny(/^blobs\/sha256\//)))
    return "oci";
  if (archive.has("manifest.json")) return "docker";
  if (archive.has("repositories") && archive.hasAny(/^[0-9a-f]{64}\/layer\.tar$/))
    throw new ImageError(
      "unsupported",
      "an archive saved by docker before 1.10",
      "save the image again with a current docker",
    );
  return "rootfs";
}

async function verify(archive: ArchiveIndex, layers: readonly LayerBlob[], job: Job): Promise<MergedLayers> {
  const bytesTotal = layers.reduce((sum, { file }) => sum + file.size, 0);
  let bytesDone = 0;
  return mergeLayers({
    blobs: archive,
    layers,
    limits: job.limits,
    signal: job.signal,
    onBytes: (bytes) => {
      bytesDone += bytes;
      job.onProgress({ phase: "verify", bytesDone, bytesTotal });
    },
  });
}

function rootfsImage(merged: MergedLayers, job: Job): Identity {
  const text = writeImageDocument(checkImageConfig(job.config ?? {}), job.architecture, merged.diffIds);
  return { id: digestOf(text), document: parseImageDocument(text), names: [] };
}

interface Conversion {
  readonly archive: ArchiveIndex;
  readonly spool: Spool;
  readonly layers: readonly LayerBlob[];
  readonly merged: MergedLayers;
  readonly space: FreeSpace;
}

async function convert({ archive, spool, layers, merged, space }: Conversion, job: Job): Promise<string> {
  const { tree, contentBytes, newestMtime } = merged;
  const path = join(job.workDirectory, "image.squashfs");
  let bytesDone = 0;
  const tar = mergedTar(tree, {
    blobs: archive,
    layers,
    limits: job.limits,
    signal: job.signal,
    onBytes: (bytes) => {
      bytesDone += bytes;
      job.onProgress({ phase: "convert", bytesDone, bytesTotal: contentBytes });
    },
  });
  await writeSquashfs(guarded(tar, space), {
    path,
    root: tree.root.attributes,
    newestMtime,
    signal: job.signal,
  });
  await truncate(spool.path);
  return path;
}

/** Checks free space while feeding mksquashfs. The squashfs never grows faster than its input. */
async function* guarded(tar: AsyncIterable<Buffer>, space: FreeSpace): AsyncGenerator<Buffer> {
  for await (const chunk of tar) {
    await space.reserve(chunk.length);
    yield chunk;
  }
}

async function describe(
  image: Identity,
  made: { merged: MergedLayers; squashfs: string; layerCount: number },
  job: Job,
): Promise<ConvertedImage> {
  const bytesTotal = (await stat(made.squashfs)).size;
  let bytesDone = 0;
  let blob: Digest | undefined;
  const file = createReadStream(made.squashfs, { highWaterMark: 256 * 1024, signal: job.signal });
  for await (const chunk of measured(file, (digest) => {
    blob = digest;
  })) {
    bytesDone += chunk.length;
    job.onProgress({ phase: "store", bytesDone, bytesTotal });
  }
  if (blob === undefined) throw new Error("the squashfs file was read without a digest");
  return {
    id: image.id,
    blob,
    sizeBytes: bytesTotal,
    contentBytes: made.merged.contentBytes,
    createdAt: image.document.created,
    architecture: job.architecture,
    layerCount: made.layerCount,
    droppedDevices: made.merged.droppedDevices,
    warnings: [...image.document.warnings, ...rootWarnings(made.merged)],
    config: image.document.config,
  };
}

/** Warns about a root directory that only root can enter: processes of other users find no file in it. The mode is kept. */
function rootWarnings({ tree }: MergedLayers): string[] {
  const { mode } = tree.root.attributes;
  if ((mode & 0o001) !== 0) return [];
  return [
    `the root directory of the image has mode ${mode.toString(8).padStart(4, "0")}: only root can read "/", and processes of other users cannot start`,
  ];
}
