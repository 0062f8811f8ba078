/**
 * The archive of `docker save` (and `podman save`): `manifest.json`, a config per image and a tar per layer. Also the directory
 * format that skopeo and podman call `dir:` or `docker-dir`, where `manifest.json` is one image manifest and each blob is named by its
 * digest.
 */
import type { ArchiveFile, ArchiveIndex } from "./archive-index.ts";
import { type Digest, digestHex, digestOf } from "./digest.ts";
import { parseImageDocument } from "./image-config.ts";
import { ImageError, invalidDocument } from "./image-error.ts";
import { JsonObject, parseJson } from "./json.ts";
import { archiveName, noImage } from "./oci-descriptor.ts";
import { otherPlatforms, severalImages } from "./oci-layout.ts";
import { loadImage, readManifest } from "./oci-manifest.ts";
import type { ImageName } from "./reference.ts";
import type { LayerBlob, SourceImage, Wanted } from "./source-image.ts";

const what = "manifest.json";

export async function findDockerImage(archive: ArchiveIndex, wanted: Wanted): Promise<SourceImage> {
  const manifest = parseJson((await archive.bytes(archive.file(what))).toString("utf8"), what);
  const image = Array.isArray(manifest)
    ? await fromList(archive, manifest, wanted)
    : await loadImage(archive, await readManifest(archive, JsonObject.of(manifest, what)), []);
  const { architecture } = image.document;
  if (architecture !== "" && architecture !== wanted.architecture)
    throw otherPlatforms([`linux/${architecture.slice(0, 40)}`], wanted);
  return image;
}

async function fromList(
  archive: ArchiveIndex,
  list: readonly unknown[],
  wanted: Wanted,
): Promise<SourceImage> {
  const { config: configName, layers: paths, names } = chooseEntry(list, wanted);
  const configFile = archive.file(configName);
  const config = await archive.bytes(configFile);
  const id = digestOf(config);
  verifyConfigName(configFile, id);
  const document = parseImageDocument(config.toString("utf8"));
  if (paths.length !== document.diffIds.length)
    throw invalidDocument(what, `it lists ${paths.length} layers, the config ${document.diffIds.length}`);
  const layers: LayerBlob[] = [];
  for (const [index, path] of paths.entries())
    layers.push(await layerBlob(archive, path, document.diffIds[index]));
  return { id, document, layers, names };
}

interface ListedImage {
  readonly config: string;
  readonly layers: readonly string[];
  readonly names: readonly ImageName[];
}

/** The only listed image, or the one with the wanted name. An image listed once per name counts as one. */
function chooseEntry(list: readonly unknown[], wanted: Wanted): ListedImage {
  const images = new Map<string, ListedImage>();
  for (const item of JsonObject.of({ images: list }, what).objects("images")) {
    const config = item.requiredString("Config");
    const names = item.strings("RepoTags").flatMap(archiveName);
    const known = images.get(config);
    images.set(config, {
      config,
      layers: known?.layers ?? item.strings("Layers"),
      names: [...(known?.names ?? []), ...names],
    });
  }
  const all = [...images.values()];
  const named = all.filter(({ names }) => wanted.name !== undefined && names.includes(wanted.name));
  const [chosen, ...others] = all.length === 1 ? all : named;
  if (chosen === undefined && all.length === 0) throw noImage();
  if (chosen === undefined || others.length > 0)
    throw severalImages(
      all.flatMap(({ names }) => names),
      all.length,
    );
  return chosen;
}

/** Docker names a config after its digest. Such a file must match its name. */
function verifyConfigName(file: ArchiveFile, id: Digest): void {
  const named = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(file.name)?.[1];
  if (named !== undefined && named !== digestHex(id))
    throw new ImageError(
      "digest_mismatch",
      `the image config has the digest ${id}, which is not the one in its name`,
      "the image was damaged or changed in transit; save it again",
    );
}

async function layerBlob(
  archive: ArchiveIndex,
  path: string,
  diffId: Digest | undefined,
): Promise<LayerBlob> {
  const file = archive.file(path);
  return { file, compression: await archive.compression(file), stored: undefined, diffId };
}
