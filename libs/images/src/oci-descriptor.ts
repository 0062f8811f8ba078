/** Descriptors of the OCI image spec 1.1 and of docker's manifests, and the blobs they refer to. */
import type { ArchiveFile, ArchiveIndex } from "./archive-index.ts";
import { type Digest, digestHex, digestOf, parseDigest, verifyDigest } from "./digest.ts";
import { normalArchitecture } from "./image-config.ts";
import { ImageError, invalidArchive } from "./image-error.ts";
import type { JsonObject } from "./json.ts";
import { hasIdForm, type ImageName, parseImageName, tryParseImageName } from "./reference.ts";

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** The 3 of a variant "v3"; 0 if there is none. */
  readonly variant: number;
}

export interface Descriptor {
  /** "" if missing; some tools leave it out. */
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  /** Names from the annotations. */
  readonly names: readonly ImageName[];
  readonly platform: Platform | undefined;
  /** The content, if the descriptor embeds it. */
  readonly data: Buffer | undefined;
}

export function parseDescriptor(object: JsonObject): Descriptor {
  const data = object.string("data");
  return {
    mediaType: object.string("mediaType") ?? "",
    digest: parseDigest(object.requiredString("digest")),
    size: object.size("size"),
    names: annotatedNames(object),
    platform: platformOf(object),
    data: data === undefined ? undefined : Buffer.from(data, "base64"),
  };
}

function annotatedNames(object: JsonObject): ImageName[] {
  const annotations = object.object("annotations");
  const names = [
    annotations?.text("io.containerd.image.name"),
    // The spec allows a bare tag ("latest"), which has no repository.
    annotations?.text("org.opencontainers.image.ref.name")?.match(/.*[:/].*/)?.[0],
  ];
  return names.flatMap((name) => (name === undefined ? [] : archiveName(name)));
}

/** A name from an archive. A malformed name is ignored, but one with the form of an id is refused. */
export function archiveName(text: string): ImageName[] {
  if (hasIdForm(text)) parseImageName(text);
  const name = tryParseImageName(text);
  return name === undefined ? [] : [name];
}

/** The platform of an index entry; undefined if it is missing or empty. */
export function platformOf(object: JsonObject): Platform | undefined {
  const platform = object.object("platform");
  const architecture = platform?.text("architecture") ?? "";
  if (architecture === "") return undefined;
  return {
    os: platform?.text("os") || "linux",
    architecture: normalArchitecture(architecture),
    variant: Number(/^v([0-9]{1,2})$/.exec(platform?.text("variant") ?? "")?.[1] ?? 0),
  };
}

/** The file of a blob: in an OCI layout, or named by its bare digest, as in a skopeo directory (`dir:`). */
export function blobFile(archive: ArchiveIndex, blob: Descriptor): ArchiveFile {
  const hex = digestHex(blob.digest);
  const inLayout = `blobs/sha256/${hex}`;
  const file =
    archive.find(inLayout) ?? archive.find(hex) ?? archive.find(`${hex}.tar`) ?? archive.file(inLayout);
  if (file.size !== blob.size)
    throw new ImageError(
      "digest_mismatch",
      `blob ${blob.digest} has ${file.size} bytes, not ${blob.size}`,
      "the image was damaged or changed in transit; export it again",
    );
  return file;
}

/** Reads a document by its descriptor and verifies its digest. */
export async function readDocument(archive: ArchiveIndex, blob: Descriptor, what: string): Promise<string> {
  const inLayout = archive.find(`blobs/sha256/${digestHex(blob.digest)}`);
  const embedded = inLayout === undefined ? blob.data : undefined;
  const bytes = embedded ?? (await archive.bytes(blobFile(archive, blob)));
  verifyDigest(what, digestOf(bytes), blob.digest);
  return bytes.toString("utf8");
}

/** The error for an unsupported media type. */
export function unknownType(mediaType: string, what: string): ImageError {
  return new ImageError(
    "unsupported",
    `${what} of type ${JSON.stringify(mediaType.slice(0, 100))}`,
    "only container images with plain, gzip or zstd layers are supported, no other artifacts or encrypted images",
  );
}

/** The error for an archive without an image. */
export const noImage = (): ImageError => invalidArchive("the archive holds no image");
