import { createReadStream } from "node:fs";
import { stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { ArchiveIndex } from "./archive-index.ts";
import { type Digest, digestOf, measured } from "./digest.ts";
import { findDockerImage } from "./docker-archive.ts";
import { FreeSpace } from "./free-space.ts";
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
import type { Slots } from "./slots.ts";
import type { LayerBlob, SourceImage } from "./source-image.ts";
import { receive, type Spool } from "./spool.ts";
import { writeSquashfs } from "./write-squashfs.ts";

/** How an archive is to be read. `rootfs` is a tar of a whole root file system, such as `docker export` makes. */
export type ArchiveFormat = "auto" | "oci" | "docker" | "rootfs";

/** How far an import is. Phases come in this order; `bytesTotal` is absent while it cannot be known. */
export interface ImportProgress {
  readonly phase: "receive" | "verify" | "convert" | "store";
  readonly bytesDone: number;
  readonly bytesTotal?: number;
}

export interface ImportJob {
  /** Private directory of this import; its owner removes it afterwards. */
  readonly workDirectory: string;
  readonly format: ArchiveFormat;
  readonly name: ImageName | undefined;
  /** Only for `rootfs`, which has no config of its own. */
  readonly config: Partial<ImageConfig> | undefined;
  readonly architecture: Architecture;
  readonly limits: ImageLimits;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  readonly onProgress: (progress: ImportProgress) => void;
  /** Limits how many imports verify and convert at a time. */
  readonly slots: Slots;
  /** Whether the store has this image already, which ends the import early. */
  readonly isKnown: (id: Digest) => boolean;
}

/** The outcome: an image that was known, or one whose squashfs waits at `squashfs` to be put in place. */
export type ImportResult = { readonly id: Digest; readonly names: readonly ImageName[] } & (
  | { readonly kind: "known" }
  | { readonly kind: "new"; readonly image: StoredImage; readonly squashfs: string }
);

/** Receives, verifies and converts an archive inside the job's own directory. Throws `ImageError`. */
export async function importImage(source: AsyncIterable<Uint8Array>, job: ImportJob): Promise<ImportResult> {
  const space = new FreeSpace(job.workDirectory, job.limits.minFreeBytes);
  await using spool = await receive(source, {
    path: join(job.workDirectory, "archive.tar"),
    limits: job.limits,
    space,
    signal: job.signal,
    onReceived: (bytesDone) => job.onProgress({ phase: "receive", bytesDone }),
  });
  using _slot = await job.slots.take(job.signal);
  const archive = await ArchiveIndex.read(spool, job.signal);
  const found = await findImage(archive, spool, job);
  if (found.image !== undefined && job.isKnown(found.image.id))
    return { kind: "known", id: found.image.id, names: found.image.names };
  const merged = await verify(archive, found.layers, job);
  const image = found.image ?? rootfsImage(merged, job);
  if (job.isKnown(image.id)) return { kind: "known", id: image.id, names: image.names };
  const squashfs = await convert(archive, { layers: found.layers, merged, space }, job);
  const stored = await describe(image, { merged, squashfs, layerCount: found.layers.length }, job);
  return { kind: "new", id: image.id, names: image.names, image: stored, squashfs };
}

type Identity = Pick<SourceImage, "id" | "document" | "names">;

/** A bare root file system has no identity until its one layer has been hashed. */
async function findImage(
  archive: ArchiveIndex,
  spool: Spool,
  job: ImportJob,
): Promise<{ image: Identity | undefined; layers: readonly LayerBlob[] }> {
  const format = job.format === "auto" ? detectFormat(archive) : job.format;
  if (format !== "rootfs" && job.config !== undefined)
    throw new ImageError(
      "unsupported",
      "a config given for an image that has its own",
      "leave it out, or override it when creating a container",
    );
  const wanted = { name: job.name, architecture: job.architecture };
  switch (format) {
    case "oci":
    case "docker": {
      const image = await (format === "oci" ? findOciImage : findDockerImage)(archive, wanted);
      checkArchitecture(image.document.architecture, job.architecture);
      return { image, layers: image.layers };
    }
    case "rootfs": {
      const file = { name: "the root file system", offset: 0, size: spool.size };
      return {
        image: undefined,
        layers: [{ file, compression: "none", stored: undefined, diffId: undefined }],
      };
    }
    default:
      return format satisfies never;
  }
}

/** An archive with an OCI layout is one, even if `docker save` put its older manifest beside it. */
function detectFormat(archive: ArchiveIndex): Exclude<ArchiveFormat, "auto"> {
  if (archive.has("oci-layout") && archive.has("index.json")) return "oci";
  return archive.has("manifest.json") ? "docker" : "rootfs";
}

function checkArchitecture(actual: string, expected: Architecture): void {
  if (actual === expected) return;
  throw new ImageError(
    "unsupported",
    `an image for ${JSON.stringify(actual.slice(0, 40))}; this node runs ${expected}`,
    `export the image with --platform linux/${expected}`,
  );
}

async function verify(
  archive: ArchiveIndex,
  layers: readonly LayerBlob[],
  job: ImportJob,
): Promise<MergedLayers> {
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

function rootfsImage(merged: MergedLayers, job: ImportJob): Identity {
  const text = writeImageDocument(checkImageConfig(job.config ?? {}), job.architecture, merged.diffIds);
  return { id: digestOf(text), document: parseImageDocument(text), names: [] };
}

async function convert(
  archive: ArchiveIndex,
  input: { layers: readonly LayerBlob[]; merged: MergedLayers; space: FreeSpace },
  job: ImportJob,
): Promise<string> {
  const { tree, contentBytes, newestMtime } = input.merged;
  const path = join(job.workDirectory, "image.squashfs");
  let bytesDone = 0;
  const tar = mergedTar(tree, {
    blobs: archive,
    layers: input.layers,
    limits: job.limits,
    signal: job.signal,
    onBytes: (bytes) => {
      bytesDone += bytes;
      job.onProgress({ phase: "convert", bytesDone, bytesTotal: contentBytes });
    },
  });
  await writeSquashfs(guarded(tar, input.space), {
    path,
    root: tree.root.attributes,
    newestMtime,
    signal: job.signal,
  });
  await truncate(join(job.workDirectory, "archive.tar"));
  return path;
}

/** The squashfs grows with what is fed into it, at most as fast; so feeding is where space is watched. */
async function* guarded(tar: AsyncIterable<Buffer>, space: FreeSpace): AsyncGenerator<Buffer> {
  for await (const chunk of tar) {
    await space.reserve(chunk.length);
    yield chunk;
  }
}

async function describe(
  image: Identity,
  made: { merged: MergedLayers; squashfs: string; layerCount: number },
  job: ImportJob,
): Promise<StoredImage> {
  const importedAt = job.now().toISOString();
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
  if (blob === undefined) throw new Error("the squashfs file ended without its digest being known");
  return {
    id: image.id,
    blob,
    sizeBytes: bytesTotal,
    contentBytes: made.merged.contentBytes,
    createdAt: image.document.created ?? importedAt,
    importedAt,
    architecture: job.architecture,
    layerCount: made.layerCount,
    droppedDevices: made.merged.droppedDevices,
    config: image.document.config,
  };
}
