/** An OCI image layout: `oci-layout`, `index.json` and `blobs/sha256/<digest>` (OCI image spec 1.1). */
import type { ArchiveIndex } from "./archive-index.ts";
import type { Digest } from "./digest.ts";
import { ImageError } from "./image-error.ts";
import { JsonObject } from "./json.ts";
import {
  type Descriptor,
  noImage,
  type Platform,
  parseDescriptor,
  platformOf,
  readDocument,
} from "./oci-descriptor.ts";
import { loadImage, oldManifest, type ReadManifest, readManifest } from "./oci-manifest.ts";
import type { ImageName } from "./reference.ts";
import type { SourceImage, Wanted } from "./source-image.ts";

const manifestTypes = new Set([
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
]);
const indexTypes = new Set([
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
]);
const oldManifestType = /^application\/vnd\.docker\.distribution\.manifest\.v1\+/;
const maxIndexes = 16;
const maxManifests = 1000;

export async function findOciImage(archive: ArchiveIndex, wanted: Wanted): Promise<SourceImage> {
  // Some tools leave out the version file; the layout is accepted without it.
  const version = archive.has("oci-layout")
    ? (await readJson(archive, "oci-layout")).string("imageLayoutVersion")
    : "1.0.0";
  if (version !== "1.0.0")
    throw new ImageError("unsupported", "an OCI layout of another version", "version 1.0.0 is supported");
  const walk: IndexWalk = { archive, wanted, visited: new Set(), found: [], passedOver: new Set() };
  await visitIndex(walk, await readJson(archive, "index.json"), []);
  return chooseImage(walk);
}

/** State of the walk over an index and its nested indexes. */
interface IndexWalk {
  readonly archive: ArchiveIndex;
  readonly wanted: Wanted;
  readonly visited: Set<Digest>;
  /** Manifests for the wanted platform, or without a platform. */
  readonly found: Descriptor[];
  /** Other platforms, such as `linux/arm64`. */
  readonly passedOver: Set<string>;
}

async function visitIndex(walk: IndexWalk, index: JsonObject, names: readonly ImageName[]): Promise<void> {
  for (const item of index.objects("manifests")) {
    const platform = platformOf(item);
    if (platform !== undefined && !isWanted(platform, walk)) continue;
    const entry = parseDescriptor(item);
    const named = { ...entry, names: [...names, ...entry.names] };
    if (oldManifestType.test(entry.mediaType)) throw oldManifest();
    if (manifestTypes.has(entry.mediaType)) walk.found.push(named);
    else if (indexTypes.has(entry.mediaType)) await visitNested(walk, named);
    else if (entry.mediaType === "") await visitUntyped(walk, named);
    if (walk.found.length > maxManifests)
      throw new ImageError(
        "too_large",
        `more than ${maxManifests} manifests`,
        "export one image per archive",
      );
  }
}

function isWanted({ os, architecture }: Platform, { wanted, passedOver }: IndexWalk): boolean {
  if (os === "linux" && architecture === wanted.architecture) return true;
  // BuildKit adds attestations with the platform unknown/unknown.
  if (architecture !== "unknown" && passedOver.size < 20)
    passedOver.add(`${os.slice(0, 20)}/${architecture.slice(0, 20)}`);
  return false;
}

async function visitNested(walk: IndexWalk, entry: Descriptor): Promise<void> {
  // Each index is visited once, because a small archive could otherwise cause hours of work.
  if (walk.visited.has(entry.digest)) return;
  walk.visited.add(entry.digest);
  if (walk.visited.size > maxIndexes)
    throw new ImageError(
      "unsupported",
      `more than ${maxIndexes} image indexes`,
      "export one image per archive",
    );
  const text = await readDocument(walk.archive, entry, "an index");
  await visitIndex(walk, JsonObject.parse(text, "an index"), entry.names);
}

/** An entry without a media type. Its content decides whether it is an index or a manifest. */
async function visitUntyped(walk: IndexWalk, entry: Descriptor): Promise<void> {
  const document = JsonObject.parse(await readDocument(walk.archive, entry, "a manifest"), "a manifest");
  if (document.has("manifests")) await visitNested(walk, entry);
  else if (document.has("layers")) walk.found.push(entry);
}

async function chooseImage({ archive, wanted, found, passedOver }: IndexWalk): Promise<SourceImage> {
  if (found.length === 0) throw passedOver.size > 0 ? otherPlatforms([...passedOver], wanted) : noImage();
  const named = found.filter(({ names }) => wanted.name !== undefined && names.includes(wanted.name));
  const distinct = new Map((named.length > 0 ? named : found).map((one) => [one.digest, one]));
  const { image, digest } = await onlyImage(archive, [...distinct.values()], wanted);
  const names = found.filter((one) => one.digest === digest).flatMap((one) => one.names);
  return loadImage(archive, image, [...new Set(names)]);
}

/** An image whose config is for the wanted platform. */
interface Candidate {
  readonly digest: Digest;
  readonly variant: number;
  readonly names: readonly ImageName[];
  readonly image: ReadManifest;
}

/**
 * The only image among the manifests. Signatures, attestations and other artifacts are ignored. If the index has no platform, images
 * whose config is for another platform are ignored too. Two copies of the same image count as one. If no image is left, the first
 * error is thrown.
 */
async function onlyImage(
  archive: ArchiveIndex,
  manifests: readonly Descriptor[],
  wanted: Wanted,
): Promise<Candidate> {
  const candidates = new Map<Digest, Candidate>();
  let refusal: unknown;
  for (const manifest of manifests) {
    try {
      const image = await readCandidate(archive, manifest, wanted);
      const variant = manifest.platform?.variant ?? 0;
      if (!candidates.has(image.id))
        candidates.set(image.id, { digest: manifest.digest, variant, names: manifest.names, image });
    } catch (error) {
      if (!(error instanceof ImageError) || error.kind === "too_large") throw error;
      refusal ??= error;
    }
  }
  // The lowest variant of an architecture runs on every machine.
  const lowest = Math.min(...[...candidates.values()].map(({ variant }) => variant));
  const [chosen, ...others] = [...candidates.values()].filter(({ variant }) => variant === lowest);
  if (chosen === undefined) throw refusal ?? noImage();
  if (others.length > 0)
    throw severalImages(
      [chosen, ...others].flatMap(({ names }) => names),
      others.length + 1,
    );
  return chosen;
}

async function readCandidate(
  archive: ArchiveIndex,
  manifest: Descriptor,
  wanted: Wanted,
): Promise<ReadManifest> {
  const text = await readDocument(archive, manifest, "the manifest");
  const image = await readManifest(archive, JsonObject.parse(text, "the manifest"));
  const { architecture } = image.document;
  if (architecture !== "" && architecture !== wanted.architecture)
    throw otherPlatforms([`linux/${architecture.slice(0, 40)}`], wanted);
  return image;
}

/** The error for an archive that has images only for other platforms. */
export function otherPlatforms(platforms: readonly string[], { architecture }: Wanted): ImageError {
  return new ImageError(
    "unsupported",
    `the archive has an image for ${platforms.join(", ")} and none for linux/${architecture}, which this node runs`,
    `export the image with --platform linux/${architecture}`,
  );
}

/** The error for an archive with several images when no name selects one. */
export function severalImages(names: readonly string[], count: number): ImageError {
  const known = [...new Set(names)].slice(0, 10).join(", ");
  return new ImageError(
    "ambiguous",
    `the archive contains ${count} images${known === "" ? "" : `: ${known}`}`,
    "give the name of one of them, or export one image per archive",
  );
}

async function readJson(archive: ArchiveIndex, name: string): Promise<JsonObject> {
  return JsonObject.parse((await archive.bytes(archive.file(name))).toString("utf8"), name);
}
