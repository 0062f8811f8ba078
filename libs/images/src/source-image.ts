import type { ArchiveFile } from "./archive-index.ts";
import type { Compression } from "./decompress.ts";
import type { Digest } from "./digest.ts";
import type { ImageDocument } from "./image-config.ts";
import type { ImageName } from "./reference.ts";

/** A layer blob inside an archive and what is promised about it. */
export interface LayerBlob {
  readonly file: ArchiveFile;
  readonly compression: Compression;
  /** Digest and size of the blob as stored, where a manifest states them. */
  readonly stored: { readonly digest: Digest; readonly size: number } | undefined;
  /** Digest of the uncompressed layer, where a config states it. */
  readonly diffId: Digest | undefined;
}

/** An image found in an archive, not yet verified beyond its manifest and config. */
export interface SourceImage {
  readonly id: Digest;
  readonly document: ImageDocument;
  readonly layers: readonly LayerBlob[];
  /** Names the archive gives the image. */
  readonly names: readonly ImageName[];
}

/** Which image of an archive is wanted. */
export interface Wanted {
  /** If several images are in the archive, the one of this name. */
  readonly name: ImageName | undefined;
  readonly architecture: string;
}
