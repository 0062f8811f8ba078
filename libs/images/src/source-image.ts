import type { ArchiveFile } from "./archive-index.ts";
import type { Compression } from "./decompress.ts";
import type { Digest } from "./digest.ts";
import type { ImageDocument } from "./image-config.ts";
import type { ImageName } from "./reference.ts";

/** A layer blob inside an archive, with its expected digests and size. */
export interface LayerBlob {
  readonly file: ArchiveFile;
  readonly compression: Compression;
  /** Digest and size of the stored blob, if a manifest states them. */
  readonly stored: { readonly digest: Digest; readonly size: number } | undefined;
  /** Digest of the uncompressed layer, if a config states it. */
  readonly diffId: Digest | undefined;
}

/** An image found in an archive. Only its manifest and config are verified so far. */
export interface SourceImage {
  readonly id: Digest;
  readonly document: ImageDocument;
  readonly layers: readonly LayerBlob[];
  /** Names of the image in the archive. */
  readonly names: readonly ImageName[];
}

/** Selects an image of an archive. */
export interface Wanted {
  /** Name of the image, if the archive has several. */
  readonly name: ImageName | undefined;
  readonly architecture: string;
}
