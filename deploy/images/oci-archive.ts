import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type PackedEntry, packTar } from "@paddock/images";

/** A layer as stored, with the digest of its content. */
export interface OciLayer {
  readonly blob: Buffer;
  readonly mediaType: string;
  /** Hex SHA-256 of the uncompressed layer. */
  readonly diffId: string;
}

export interface OciImage {
  readonly name: string;
  readonly architecture: "amd64" | "arm64";
  /** With the field names of the OCI image spec: `Cmd`, `Env`, `User`, … */
  readonly config: Readonly<Record<string, unknown>>;
  readonly layers: readonly OciLayer[];
}

/** Writes an image as an OCI layout in a tar archive. The file appears complete or not at all. */
export async function writeOciArchive(path: string, image: OciImage): Promise<void> {
  const blobs = new Map<string, Buffer>();
  const add = (bytes: Buffer, mediaType: string) => {
    const hex = sha256(bytes);
    blobs.set(hex, bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const layers = image.layers.map(({ blob, mediaType }) => add(blob, mediaType));
  const platform = { architecture: image.architecture, os: "linux" };
  const rootfs = { type: "layers", diff_ids: image.layers.map(({ diffId }) => `sha256:${diffId}`) };
  const config = add(
    json({ ...platform, config: image.config, rootfs }),
    "application/vnd.oci.image.config.v1+json",
  );
  const manifestType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = add(json({ schemaVersion: 2, mediaType: manifestType, config, layers }), manifestType);
  const annotations = { "org.opencontainers.image.ref.name": image.name };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, platform, annotations }] };
  const files: [string, Buffer][] = [
    ["oci-layout", json({ imageLayoutVersion: "1.0.0" })],
    ["index.json", json(index)],
    ...[...blobs].map(([hex, bytes]): [string, Buffer] => [`blobs/sha256/${hex}`, bytes]),
  ];
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await pipeline(Readable.from(packTar(files.map(archiveFile))), createWriteStream(temporary));
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

function archiveFile([path, content]: [string, Buffer]): PackedEntry {
  return { type: "file", path, mode: 0o644, uid: 0, gid: 0, mtime: 0, content };
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
