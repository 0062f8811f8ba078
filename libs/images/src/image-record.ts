import { type Digest, parseDigest } from "./digest.ts";
import { type Architecture, checkImageConfig, type ImageConfig } from "./image-config.ts";
import { invalidArchive } from "./image-error.ts";
import { JsonObject } from "./json.ts";
import type { ImageName } from "./reference.ts";

/** An image in a store. */
export interface ImageRecord {
  /** Digest of the image's config document, the id that docker shows; it covers config and layers. */
  readonly id: Digest;
  /** Names that lead to this image now, sorted. */
  readonly names: readonly ImageName[];
  /** Digest of the squashfs file. */
  readonly blob: Digest;
  /** Size of the squashfs file, in bytes. */
  readonly sizeBytes: number;
  /** Bytes of all files in the image, uncompressed. */
  readonly contentBytes: number;
  /** When the image says it was made, else when it was imported; ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601. */
  readonly importedAt: string;
  readonly architecture: Architecture;
  readonly layerCount: number;
  /** Device nodes in the layers that were left out of the image. */
  readonly droppedDevices: number;
  /** What is odd about the image but no reason to refuse it, in words for a person. */
  readonly warnings: readonly string[];
  readonly config: ImageConfig;
}

/** What is kept in an image's own file; its names live in one file for all images, so that they move atomically. */
export type StoredImage = Omit<ImageRecord, "names">;

const version = 1;

export function serializeStoredImage(image: StoredImage): string {
  return `${JSON.stringify({ version, ...image }, undefined, 2)}\n`;
}

/** Parses a record written by this package. Throws if it is damaged or of a later version. */
export function parseStoredImage(text: string): StoredImage {
  const record = JsonObject.parse(text, "the image record");
  if (record.size("version") !== version) throw new Error("the image record is of another version");
  const config = record.object("config");
  if (config === undefined) throw invalidArchive("the image record has no config");
  return {
    id: parseDigest(record.requiredString("id")),
    blob: parseDigest(record.requiredString("blob")),
    sizeBytes: record.size("sizeBytes"),
    contentBytes: record.size("contentBytes"),
    createdAt: record.requiredString("createdAt"),
    importedAt: record.requiredString("importedAt"),
    architecture: parseArchitecture(record.requiredString("architecture")),
    layerCount: record.size("layerCount"),
    droppedDevices: record.size("droppedDevices"),
    // Records of before warnings were kept have none.
    warnings: record.strings("warnings"),
    config: parseStoredConfig(config),
  };
}

function parseStoredConfig(config: JsonObject): ImageConfig {
  return checkImageConfig({
    entrypoint: config.strings("entrypoint"),
    cmd: config.strings("cmd"),
    env: config.strings("env"),
    workingDir: config.string("workingDir") ?? "",
    user: config.string("user") ?? "",
    stopSignal: config.string("stopSignal") ?? "",
    exposedPorts: config.strings("exposedPorts"),
    labels: config.stringMap("labels"),
    volumes: config.strings("volumes"),
  });
}

function parseArchitecture(text: string): Architecture {
  if (text === "amd64" || text === "arm64") return text;
  throw invalidArchive("the image record has an unknown architecture");
}
