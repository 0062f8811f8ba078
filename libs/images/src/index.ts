export type { ArchiveFormat, ImportProgress } from "./convert-archive.ts";
export type { Digest } from "./digest.ts";
export type { Architecture, ImageConfig } from "./image-config.ts";
export { ImageError, type ImageErrorKind } from "./image-error.ts";
export type { ImageRecord } from "./image-record.ts";
export {
  type ImageStore,
  type ImportOptions,
  type OpenImageStoreOptions,
  openImageStore,
  type RemoveOptions,
} from "./image-store.ts";
export { defaultImageLimits, type ImageLimits } from "./limits.ts";
export { type PackedEntry, packDirectory, packTar } from "./pack-tar.ts";
export { type ImageName, parseImageName } from "./reference.ts";
export type { ImageLog } from "./store-files.ts";
export type { TarEntry } from "./tar-entry.ts";
export { type ReadTarOptions, readTar } from "./tar-reader.ts";
export type { SparseMap } from "./tar-sparse.ts";
export { type TarRecord, tarEnd, tarHeader, tarPadding } from "./tar-writer.ts";
