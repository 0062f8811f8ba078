/** Archives for tests, built with tar-stream and not with the package's own tar code. */
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Header, pack } from "tar-stream";

export type Entry = Pick<Header, "name"> & Partial<Header> & { readonly content?: string | Buffer };

/** A plain tar archive of the entries; files default to 0644, directories to 0755, all times to 1000 s. */
export async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of entries) {
    const mode = header.type === "directory" ? 0o755 : 0o644;
    archive.entry({ mode, mtime: new Date(1_000_000), ...header }, content ?? "");
  }
  archive.finalize();
  return buffer(archive);
}

export const file = (name: string, content: string | Buffer = name, more: Partial<Entry> = {}): Entry => ({
  name,
  content,
  ...more,
});
export const directory = (name: string, more: Partial<Entry> = {}): Entry => ({
  name,
  type: "directory",
  ...more,
});
export const symlink = (name: string, linkname: string): Entry => ({ name, type: "symlink", linkname });
export const hardlink = (name: string, linkname: string): Entry => ({ name, type: "link", linkname });

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export type Compress = "none" | "gzip" | "zstd";

export interface TestImage {
  /** Uncompressed layers, bottom first. */
  readonly layers: readonly Buffer[];
  readonly compression?: Compress;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Fields of the config document to replace. */
  readonly document?: Readonly<Record<string, unknown>>;
  readonly name?: string;
}

const suffix = { none: "", gzip: "+gzip", zstd: "+zstd" };

export function configOf(image: TestImage): Buffer {
  const rootfs = { type: "layers", diff_ids: image.layers.map((layer) => `sha256:${sha256(layer)}`) };
  const document = { architecture: "amd64", os: "linux", config: image.config ?? {}, rootfs };
  return Buffer.from(JSON.stringify({ ...document, ...image.document }));
}

/** The files of an OCI layout, by name; tests change some of them. */
export function ociFiles(image: TestImage): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const blob = (bytes: Buffer, mediaType: string) => {
    files.set(`blobs/sha256/${sha256(bytes)}`, bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const compression = image.compression ?? "gzip";
  const layers = image.layers.map((layer) =>
    blob(compressed(layer, compression), `application/vnd.oci.image.layer.v1.tar${suffix[compression]}`),
  );
  const config = blob(configOf(image), "application/vnd.oci.image.config.v1+json");
  const manifest = blob(
    Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers })),
    "application/vnd.oci.image.manifest.v1+json",
  );
  const annotations = image.name === undefined ? {} : { "io.containerd.image.name": image.name };
  files.set("oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  files.set("index.json", Buffer.from(JSON.stringify({ manifests: [{ ...manifest, annotations }] })));
  return files;
}

/** The files that `docker save` wrote before OCI layouts. */
export function dockerFiles(image: TestImage): Map<string, Buffer> {
  const config = configOf(image);
  const files = new Map([[`${sha256(config)}.json`, config]]);
  const layers = image.layers.map((layer) => {
    const name = `${sha256(layer)}/layer.tar`;
    files.set(name, layer);
    return name;
  });
  const tags = image.name === undefined ? [] : [image.name];
  const manifest = [{ Config: `${sha256(config)}.json`, RepoTags: tags, Layers: layers }];
  files.set("manifest.json", Buffer.from(JSON.stringify(manifest)));
  return files;
}

type Json = Record<string, unknown>;

/** The image's index, as `ociFiles` writes it. */
export const indexOf = (files: ReadonlyMap<string, Buffer>): { manifests: Json[] } =>
  JSON.parse(files.get("index.json")?.toString() ?? "");

/** Adds a blob, and returns its part of a descriptor. */
export function putBlob(files: Map<string, Buffer>, content: unknown): { digest: string; size: number } {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
  files.set(`blobs/sha256/${sha256(bytes)}`, bytes);
  return { digest: `sha256:${sha256(bytes)}`, size: bytes.length };
}

/** Replaces the image's index. */
export const putIndex = (files: Map<string, Buffer>, manifests: readonly Json[]): Map<string, Buffer> =>
  files.set("index.json", Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })));

/** The image with a changed manifest and correct digests. */
export function withManifest(
  files: Map<string, Buffer>,
  change: (manifest: { config: Json; layers: Json[] }) => unknown,
): Map<string, Buffer> {
  const [entry = {}] = indexOf(files).manifests;
  const old = `blobs/sha256/${String(entry.digest).slice("sha256:".length)}`;
  const manifest = JSON.parse(files.get(old)?.toString() ?? "");
  change(manifest);
  return putIndex(files, [{ ...entry, ...putBlob(files, manifest) }]);
}

export async function archiveOf(files: ReadonlyMap<string, Buffer>): Promise<Buffer> {
  return tarOf([...files].map(([name, content]) => ({ name, content })));
}

export function compressed(bytes: Buffer, compression: Compress): Buffer {
  switch (compression) {
    case "none":
      return bytes;
    case "gzip":
      return gzipSync(bytes);
    case "zstd":
      return zstdCompressSync(bytes);
    default:
      return compression satisfies never;
  }
}

/** A buffer as a stream of small chunks, as from a network. */
export async function* stream(bytes: Buffer, chunkBytes = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}
