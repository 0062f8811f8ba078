/** What one import may cost. Archives come from untrusted clients, so every number here is enforced. */
export interface ImageLimits {
  /** Largest archive accepted, in bytes, before and after its outer compression is undone. */
  readonly maxArchiveBytes: number;
  /** Largest sum of all layers, uncompressed, in bytes. */
  readonly maxUnpackedBytes: number;
  /** Largest uncompressed : compressed ratio of one layer or of the archive; checked past 64 MiB. */
  readonly maxCompressionRatio: number;
  /** Most entries in all layers together. An entry costs about 500 bytes of memory during an import. */
  readonly maxEntries: number;
  /** Most bytes of names, link targets and extended attributes in all layers together. */
  readonly maxMetadataBytes: number;
  /** Most layers in an image. */
  readonly maxLayers: number;
  /** Imports that verify and convert at a time, each with up to 256 MiB for mksquashfs; others wait. */
  readonly maxConcurrentConversions: number;
  /** Free space, in bytes, that an import must leave on the store's file system. */
  readonly minFreeBytes: number;
}

const GiB = 1024 ** 3;

/** Limits a node starts with; each can be overridden in `openImageStore`. */
export const defaultImageLimits: ImageLimits = {
  maxArchiveBytes: 16 * GiB,
  maxUnpackedBytes: 32 * GiB,
  maxCompressionRatio: 250,
  maxEntries: 500_000,
  maxMetadataBytes: 128 * 1024 ** 2,
  maxLayers: 256,
  maxConcurrentConversions: 2,
  minFreeBytes: GiB,
};

/** JSON documents in an archive (index, manifest, config) are held in memory, hence small. */
export const maxJsonBytes = 4 * 1024 ** 2;

/** Below this many uncompressed bytes a high ratio is ordinary (a layer of zeros) and harmless. */
export const ratioGraceBytes = 64 * 1024 ** 2;
