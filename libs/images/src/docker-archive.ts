/** The archive of `docker save` (and `podman save`): `manifest.json`, one config and tar per layer. */
import type { ArchiveFile, ArchiveIndex } from "./archive-index.ts";
import { sniffCompression } from "./decompress.ts";
import { type Digest, digestHex, digestOf } from "./digest.ts";
import { parseImageDocument } from "./image-config.ts";
import { ImageError, invalidArchive } from "./image-error.ts";
import { JsonObject, parseJson } from "./json.ts";
import { parseImageName } from "./reference.ts";
import type { LayerBlob, SourceImage, Wanted } from "./source-image.ts";

export async function findDockerImage(archive: ArchiveIndex, wanted: Wanted): Promise<SourceImage> {
  const entry = await chooseEntry(archive, wanted);
  const configFile = archive.file(entry.requiredString("Config"));
  const config = await archive.bytes(configFile);
  const id = digestOf(config);
  verifyConfigName(configFile, id);
  const document = parseImageDocument(config.toString("utf8"));
  const paths = entry.strings("Layers");
  if (paths.length !== document.diffIds.length)
    throw invalidArchive(`manifest.json lists ${paths.length} layers, the config ${document.diffIds.length}`);
  const layers = await Promise.all(paths.map((path, i) => layerBlob(archive, path, document.diffIds[i])));
  return { id, document, layers, names: entry.strings("RepoTags").map(parseImageName) };
}

async function chooseEntry(archive: ArchiveIndex, wanted: Wanted): Promise<JsonObject> {
  const list = parseJson(
    (await archive.bytes(archive.file("manifest.json"))).toString("utf8"),
    "manifest.json",
  );
  if (!Array.isArray(list)) throw invalidArchive("manifest.json is not a list");
  const entries = list.map((item) => JsonObject.of(item, "manifest.json"));
  const named = entries.filter((entry) =>
    entry.strings("RepoTags").some((tag) => wanted.name !== undefined && parseImageName(tag) === wanted.name),
  );
  const [chosen, ...others] = entries.length === 1 ? entries : named;
  if (chosen === undefined && entries.length === 0) throw invalidArchive("the archive holds no image");
  if (chosen === undefined || others.length > 0)
    throw new ImageError(
      "ambiguous",
      `the archive holds ${entries.length} images`,
      "give the name of one of them, or save one image per archive",
    );
  return chosen;
}

/** Docker names a config after its digest; a file so named must hash to its name. */
function verifyConfigName(file: ArchiveFile, id: Digest): void {
  const named = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(file.name)?.[1];
  if (named !== undefined && named !== digestHex(id))
    throw new ImageError(
      "digest_mismatch",
      `the image config hashes to ${id}, not to the digest in its name`,
      "the image was damaged or changed on its way; save it again",
    );
}

async function layerBlob(
  archive: ArchiveIndex,
  path: string,
  diffId: Digest | undefined,
): Promise<LayerBlob> {
  const file = archive.file(path);
  const compression = await sniffFile(archive, file);
  return { file, compression, stored: undefined, diffId };
}

/** docker leaves layers uncompressed; other writers of this format do not always. */
async function sniffFile(archive: ArchiveIndex, file: ArchiveFile): Promise<LayerBlob["compression"]> {
  const start = archive.content({ ...file, size: Math.min(file.size, 16) });
  for await (const bytes of start) {
    const compression = sniffCompression(bytes);
    if (compression === "xz" || compression === "bzip2")
      throw new ImageError("unsupported", `a layer compressed with ${compression}`, "use gzip or zstd");
    return compression;
  }
  return "none";
}
