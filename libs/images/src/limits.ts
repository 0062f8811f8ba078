/** What one import may cost. Archives come from untrusted clients, so every number here is enforced. */
export interface ImageLimits {
  /** Largest archive accepted, in bytes, before and after its outer compression is undone. */
  readonly maxArchiveBytes: number;
  /** Largest sum of all layers, uncompressed, in bytes. */
  readonly maxUnpackedBytes: number;
  /** Most entries in all layers together, with the directories that no entry names. Each costs about 500 bytes of memory during an import. */
  readonly maxEntries: number;
  /** Most entries of one directory. mksquashfs compares each new name with all names before it: 100,000 cost it minutes. */
  readonly maxDirectoryEntries: number;
  /** Most bytes of names, link targets and extended attributes in all layers together. */
  readonly maxMetadataBytes: number;
  /** Most layers in an image. */
  readonly maxLayers: number;
  /** Imports that verify and convert at a time, each with up to 256 MiB for mksquashfs; others wait. */
  readonly maxConcurrentConversions: number;
  /** Most memory, in bytes, for the objects of one conversion; buffers and mksquashfs come on top. */
  readonly maxConversionMemoryBytes: number;
  /** Longest that one conversion may take, in milliseconds; receiving and waiting for a turn do not count. */
  readonly maxConversionMs: number;
  /** Free space, in bytes, that an import must leave on the store's file system. */
  readonly minFreeBytes: number;
}

const GiB = 1024 ** 3;

/** Limits a node starts with; each can be overridden in `openImageStore`. */
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

/** JSON documents in an archive (index, manifest, config) are held in memory, hence small. */
export const maxJsonBytes = 4 * 1024 ** 2;

/** Most JSON in one archive that is read, in bytes; an index may lead to many manifests. */
export const maxTotalJsonBytes = 64 * 1024 ** 2;

/** Most items in one list or object of a JSON document. */
export const maxJsonItems = 10_000;
