/** One image manifest: its config and its layers. */
import type { ArchiveIndex } from "./archive-index.ts";
import type { Digest } from "./digest.ts";
import { type ImageDocument, parseImageDocument } from "./image-config.ts";
import { ImageError, invalidDocument } from "./image-error.ts";
import type { JsonObject } from "./json.ts";
import { blobFile, type Descriptor, parseDescriptor, readDocument, unknownType } from "./oci-descriptor.ts";
import type { ImageName } from "./reference.ts";
import type { LayerBlob, SourceImage } from "./source-image.ts";

const what = "the manifest";
const configTypes = new Set([
  "",
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
]);
const ociLayer = /^application\/vnd\.oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+gzip|\+zstd)?$/;
const dockerLayer =
  /^application\/vnd\.docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:[.+](?:gzip|zstd))?$/;

const isLayerType = (type: string): boolean => type === "" || ociLayer.test(type) || dockerLayer.test(type);

/** A manifest with its config. */
export interface ReadManifest {
  readonly id: Digest;
  readonly document: ImageDocument;
  readonly layers: readonly Descriptor[];
}

/** Reads a manifest and its config. Throws `unsupported` if it is not a container image but, for example, a signature. */
export async function readManifest(archive: ArchiveIndex, manifest: JsonObject): Promise<ReadManifest> {
  if (manifest.number("schemaVersion") === 1) throw oldManifest();
  const configObject = manifest.object("config");
  if (configObject === undefined) throw invalidDocument(what, "it has no config");
  const config = parseDescriptor(configObject);
  if (!configTypes.has(config.mediaType)) throw unknownType(config.mediaType, "an image config");
  const layers = manifest.objects("layers").map(parseDescriptor);
  const foreign = layers.find(({ mediaType }) => !isLayerType(mediaType));
  if (foreign !== undefined) throw unknownType(foreign.mediaType, "a layer");
  const document = parseImageDocument(await readDocument(archive, config, "the image config"));
  return { id: config.digest, document, layers };
}

/** The image of a manifest with its layers. Throws if a layer is missing or the layers do not match the config. */
export async function loadImage(
  archive: ArchiveIndex,
  { id, document, layers }: ReadManifest,
  names: readonly ImageName[],
): Promise<SourceImage> {
  if (layers.length !== document.diffIds.length)
    throw invalidDocument(what, `it lists ${layers.length} layers, the config ${document.diffIds.length}`);
  const blobs: LayerBlob[] = [];
  for (const [index, layer] of layers.entries())
    blobs.push(await layerBlob(archive, layer, document.diffIds[index]));
  return { id, document, layers: blobs, names };
}

/** The compression of a layer is detected, because some tools write a wrong media type. Its digests are verified anyway. */
async function layerBlob(
  archive: ArchiveIndex,
  layer: Descriptor,
  diffId: Digest | undefined,
): Promise<LayerBlob> {
  const isForeign = /foreign|nondistributable/.test(layer.mediaType);
  if (isForeign && archive.find(`blobs/sha256/${layer.digest.slice("sha256:".length)}`) === undefined)
    throw new ImageError(
      "unsupported",
      `layer ${layer.digest} is not in the archive; the manifest has only its URL`,
      "export the image with its foreign layers",
    );
  const file = blobFile(archive, layer);
  return { file, compression: await archive.compression(file), stored: layer, diffId };
}

export function oldManifest(): ImageError {
  return new ImageError(
    "unsupported",
    "an image manifest of schema 1",
    "push or save the image again with a current tool",
  );
}
