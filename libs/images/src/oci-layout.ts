/** An OCI image layout: `oci-layout`, `index.json` and `blobs/sha256/<digest>` (OCI image spec 1.1). */
import type { ArchiveFile, ArchiveIndex } from "./archive-index.ts";
import type { Compression } from "./decompress.ts";
import { type Digest, digestHex, digestOf, parseDigest, verifyDigest } from "./digest.ts";
import { parseImageDocument } from "./image-config.ts";
import { ImageError, invalidArchive } from "./image-error.ts";
import { JsonObject } from "./json.ts";
import { type ImageName, tryParseImageName } from "./reference.ts";
import type { LayerBlob, SourceImage, Wanted } from "./source-image.ts";

const manifestTypes = new Set([
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
]);
const indexTypes = new Set([
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
]);
const configTypes = new Set([
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
]);
const layerTypes: ReadonlyMap<string, Compression> = new Map([
  ["application/vnd.oci.image.layer.v1.tar", "none"],
  ["application/vnd.oci.image.layer.v1.tar+gzip", "gzip"],
  ["application/vnd.oci.image.layer.v1.tar+zstd", "zstd"],
  ["application/vnd.docker.image.rootfs.diff.tar", "none"],
  ["application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"],
  ["application/vnd.docker.image.rootfs.diff.tar.zstd", "zstd"],
]);
const maxIndexes = 16;
const maxManifests = 1000;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly names: readonly ImageName[];
  readonly architecture: string | undefined;
}

export async function findOciImage(archive: ArchiveIndex, wanted: Wanted): Promise<SourceImage> {
  const layout = await readJson(archive, "oci-layout");
  if (layout.string("imageLayoutVersion") !== "1.0.0")
    throw new ImageError("unsupported", "an OCI layout of another version", "version 1.0.0 is taken");
  const candidates = await listManifests(archive, await readJson(archive, "index.json"), new Set());
  const chosen = chooseManifest(candidates, wanted);
  const manifest = JsonObject.parse(await readBlob(archive, chosen, "the manifest"), "the manifest");
  return loadImage(archive, manifest, chosen.names);
}

async function loadImage(
  archive: ArchiveIndex,
  manifest: JsonObject,
  names: readonly ImageName[],
): Promise<SourceImage> {
  const what = "the manifest";
  const configObject = manifest.object("config");
  if (configObject === undefined) throw invalidArchive(`${what} names no config`);
  const config = descriptor(configObject);
  if (!configTypes.has(config.mediaType)) throw unknownType(config.mediaType, "an image config");
  const document = parseImageDocument(await readBlob(archive, config, "the image config"));
  const descriptors = manifest.objects("layers").map(descriptor);
  if (descriptors.length !== document.diffIds.length)
    throw invalidArchive(
      `the manifest lists ${descriptors.length} layers, the config ${document.diffIds.length}`,
    );
  const layers = descriptors.map((layer, i) => layerBlob(archive, layer, document.diffIds[i]));
  return { id: config.digest, document, layers, names };
}

function layerBlob(archive: ArchiveIndex, layer: Descriptor, diffId: Digest | undefined): LayerBlob {
  const compression = layerTypes.get(layer.mediaType);
  if (compression === undefined) throw unknownType(layer.mediaType, "a layer");
  return { file: blobFile(archive, layer), compression, stored: layer, diffId };
}

/** The image manifests an index leads to, through nested indexes; other artifacts are passed over. */
async function listManifests(
  archive: ArchiveIndex,
  index: JsonObject,
  visited: Set<Digest>,
): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  for (const item of index.objects("manifests")) {
    const entry = descriptor(item);
    if (manifestTypes.has(entry.mediaType)) found.push(entry);
    else if (indexTypes.has(entry.mediaType)) {
      // Visited once each, or a small archive could send this round in circles for hours.
      if (visited.has(entry.digest)) continue;
      visited.add(entry.digest);
      if (visited.size > maxIndexes)
        throw new ImageError(
          "unsupported",
          `more than ${maxIndexes} image indexes`,
          "export one image per archive",
        );
      const nested = JsonObject.parse(await readBlob(archive, entry, "an index"), "an index");
      const inner = await listManifests(archive, nested, visited);
      found.push(...inner.map((one) => ({ ...one, names: [...entry.names, ...one.names] })));
    }
    if (found.length > maxManifests)
      throw new ImageError(
        "too_large",
        `more than ${maxManifests} manifests`,
        "export one image per archive",
      );
  }
  return found;
}

function chooseManifest(candidates: readonly Descriptor[], wanted: Wanted): Descriptor {
  if (candidates.length === 0) throw invalidArchive("the archive holds no image");
  const runnable = candidates.filter(
    ({ architecture }) => architecture === undefined || architecture === wanted.architecture,
  );
  if (runnable.length === 0)
    throw new ImageError(
      "unsupported",
      `the archive has no image for ${wanted.architecture}`,
      `export the image with --platform linux/${wanted.architecture}`,
    );
  const named = runnable.filter(({ names }) => wanted.name !== undefined && names.includes(wanted.name));
  const distinct = new Map((named.length > 0 ? named : runnable).map((one) => [one.digest, one]));
  const [chosen, ...others] = distinct.values();
  if (chosen === undefined || others.length > 0)
    throw new ImageError(
      "ambiguous",
      `the archive holds ${distinct.size} images`,
      "give the name of one of them, or export one image per archive",
    );
  const names = candidates.filter(({ digest }) => digest === chosen.digest).flatMap((one) => one.names);
  return { ...chosen, names: [...new Set(names)] };
}

function descriptor(object: JsonObject): Descriptor {
  const annotations = object.stringMap("annotations");
  const names = [
    annotations["io.containerd.image.name"],
    // The spec lets this be a bare tag ("latest"), which names no repository.
    annotations["org.opencontainers.image.ref.name"]?.match(/.*[:/].*/)?.[0],
  ];
  return {
    mediaType: object.requiredString("mediaType"),
    digest: parseDigest(object.requiredString("digest")),
    size: object.size("size"),
    names: names.flatMap((name) => (name === undefined ? [] : (tryParseImageName(name) ?? []))),
    architecture: object.object("platform")?.string("architecture"),
  };
}

function blobFile(archive: ArchiveIndex, blob: Descriptor): ArchiveFile {
  const file = archive.file(`blobs/sha256/${digestHex(blob.digest)}`);
  if (file.size !== blob.size)
    throw new ImageError(
      "digest_mismatch",
      `blob ${blob.digest} has ${file.size} bytes, not ${blob.size}`,
      "the image was damaged or changed on its way; export it again",
    );
  return file;
}

async function readBlob(archive: ArchiveIndex, blob: Descriptor, what: string): Promise<string> {
  const bytes = await archive.bytes(blobFile(archive, blob));
  verifyDigest(what, digestOf(bytes), blob.digest);
  return bytes.toString("utf8");
}

async function readJson(archive: ArchiveIndex, name: string): Promise<JsonObject> {
  return JsonObject.parse((await archive.bytes(archive.file(name))).toString("utf8"), name);
}

function unknownType(mediaType: string, what: string): ImageError {
  return new ImageError(
    "unsupported",
    `${what} of type ${JSON.stringify(mediaType.slice(0, 100))}`,
    "only container images with plain, gzip or zstd layers are taken, not other artifacts or encrypted ones",
  );
}
