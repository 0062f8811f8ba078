/** Limits of one import. Archives come from untrusted clients, so every limit is enforced. */
export interface ImageLimits {
  /** Largest archive, in bytes, before and after decompression of the whole archive. */
  readonly maxArchiveBytes: number;
  /** Largest sum of all layers, uncompressed, in bytes. */
  readonly maxUnpackedBytes: number;
  /** Most entries in all layers, including implied directories. Each takes about 500 bytes of memory during an import. */
  readonly maxEntries: number;
  /** Most entries of one directory. mksquashfs compares each name with all earlier ones; 100,000 take it minutes. */
  readonly maxDirectoryEntries: number;
  /** Most bytes of names, link targets and extended attributes in all layers. */
  readonly maxMetadataBytes: number;
  /** Most layers in an image. */
  readonly maxLayers: number;
  /** Concurrent conversions, each with up to 256 MiB for mksquashfs; others wait. */
  readonly maxConcurrentConversions: number;
  /** Most heap memory of one conversion, in bytes, without buffers and mksquashfs. */
  readonly maxConversionMemoryBytes: number;
  /** Longest time of one conversion, in milliseconds, without receiving and waiting for a slot. */
  readonly maxConversionMs: number;
  /** Free space that an import must leave on the store's file system, in bytes. */
  readonly minFreeBytes: number;
}

const GiB = 1024 ** 3;

/** Default limits; `openImageStore` can override each. */
export const defaultImageLimits: ImageLimits = {
  maxArchiveBytes: 16 * GiB,
  maxUnpackedBytes: 32 * GiB,
  maxEntries: 500_000,
  maxDirectoryEntries: 100_000,
  maxMetadataBytes: 128 * 1024 ** 2,
  maxLayers: 256,
  maxConcurrentConversions: 2,
  maxConversionMemoryBytes: GiB,
  maxConversionMs: 30 * 60_000,
  minFreeBytes: GiB,
};

/** Largest JSON document in an archive (index, manifest, config), in bytes; documents are held in memory. */
export const maxJsonBytes = 4 * 1024 ** 2;

/** Most JSON read from one archive, in bytes; an index may refer to many manifests. */
export const maxTotalJsonBytes = 64 * 1024 ** 2;

/** Most items in one list or object of a JSON document. */
export const maxJsonItems = 10_000;
