import { type Digest, parseDigest } from "./digest.ts";
import { type Architecture, checkImageConfig, type ImageConfig } from "./image-config.ts";
import { invalidArchive } from "./image-error.ts";
import { JsonObject } from "./json.ts";
import type { ImageName } from "./reference.ts";

/** An image in a store. */
export interface ImageRecord {
  /** Digest of the image's config document, which docker shows as the id. It covers config and layers. */
  readonly id: Digest;
  /** Current names of this image, sorted. */
  readonly names: readonly ImageName[];
  /** Digest of the squashfs file. */
  readonly blob: Digest;
  /** Size of the squashfs file, in bytes. */
  readonly sizeBytes: number;
  /** Size of all files in the image, uncompressed, in bytes. */
  readonly contentBytes: number;
  /** Creation time from the image, or else the import time; ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601. */
  readonly importedAt: string;
  readonly architecture: Architecture;
  readonly layerCount: number;
  /** Number of device nodes in the layers, which are left out of the image. */
  readonly droppedDevices: number;
  /** Problems that are no reason to refuse the image, for a person to read. */
  readonly warnings: readonly string[];
  readonly config: ImageConfig;
}

/** The content of an image's file. Names are in one file for all images, so that they move atomically. */
export type StoredImage = Omit<ImageRecord, "names">;

const version = 1;

export function serializeStoredImage(image: StoredImage): string {
  return `${JSON.stringify({ version, ...image }, undefined, 2)}\n`;
}

/** Parses a record written by this package. Throws if it is damaged or has a later version. */
export function parseStoredImage(text: string): StoredImage {
  const record = JsonObject.parse(text, "the image record");
  if (record.size("version") !== version) throw new Error("the image record has an unknown version");
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
    // Older records have no warnings.
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
