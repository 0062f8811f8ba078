/**
 * The images of one node: content-addressed, read-only squashfs files, each with a record.
 *
 * Imports run concurrently, each in its own directory. Only their last step, the commit, and removals are serialized. An image's
 * id is the digest of its config document, which lists the digest of every layer. So the same image has the same id, regardless
 * of the archive it comes from.
 */
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { convertInProcess } from "./conversion-process.ts";
import type {
  ArchiveFormat,
  ConversionJob,
  ConversionOptions,
  ConversionResult,
  ConvertArchive,
  ImportProgress,
} from "./convert-archive.ts";
import { type Digest, digestHex } from "./digest.ts";
import { publish } from "./durable-file.ts";
import { FreeSpace, mapDiskFull } from "./free-space.ts";
import type { Architecture, ImageConfig } from "./image-config.ts";
import { ImageError } from "./image-error.ts";
import type { ImageRecord } from "./image-record.ts";
import { defaultImageLimits, type ImageLimits } from "./limits.ts";
import { receiveArchive } from "./receive-archive.ts";
import { type ImageName, parseIdPrefix, parseImageName, tryParseImageName } from "./reference.ts";
import { Slots } from "./slots.ts";
import { type ImageLog, type StoreContents, StoreFiles } from "./store-files.ts";

export interface OpenImageStoreOptions {
  /** Directory of the store; created if missing. Only one process may have it open. */
  readonly root: string;
  readonly limits?: Partial<ImageLimits>;
  /** Images for other architectures are refused. Default: the host's. */
  readonly architecture?: Architecture;
  readonly log?: ImageLog;
  readonly now?: () => Date;
  /** How archives are converted. Default: each in a separate process. */
  readonly convert?: ConvertArchive;
}

export interface ImportOptions {
  /** Name for the image. An image that has the name loses it. Default: the names in the archive. */
  readonly name?: string;
  readonly format?: ArchiveFormat;
  /** Defaults for containers; only for a bare root file system. */
  readonly config?: Partial<ImageConfig>;
  readonly onProgress?: (progress: ImportProgress) => void;
  readonly signal?: AbortSignal;
}

export interface RemoveOptions {
  /** Whether the image is in use. Called once, while no other change of the store is in progress. */
  readonly inUse?: (id: Digest) => boolean;
}

/** Opens a store and removes the leftovers of a crash. */
export async function openImageStore(options: OpenImageStoreOptions): Promise<ImageStore> {
  const files = new StoreFiles(resolve(options.root), options.log ?? (() => undefined));
  const contents = await files.load();
  return new ImageStore(files, contents, {
    limits: { ...defaultImageLimits, ...options.limits },
    architecture: options.architecture ?? hostArchitecture(),
    now: options.now ?? (() => new Date()),
    convert: options.convert ?? convertInProcess,
  });
}

interface StoreSettings {
  readonly limits: ImageLimits;
  readonly architecture: Architecture;
  readonly now: () => Date;
  readonly convert: ConvertArchive;
}

export class ImageStore {
  readonly #files: StoreFiles;
  readonly #images: StoreContents["images"];
  readonly #names: StoreContents["names"];
  readonly #settings: StoreSettings;
  readonly #slots: Slots;
  #lastChange: Promise<unknown> = Promise.resolve();

  /** Use `openImageStore`. */
  constructor(files: StoreFiles, contents: StoreContents, settings: StoreSettings) {
    this.#files = files;
    this.#images = contents.images;
    this.#names = contents.names;
    this.#settings = settings;
    this.#slots = new Slots(settings.limits.maxConcurrentConversions);
  }

  /**
   * Imports an archive from an untrusted source. Importing a known image again returns the same record.
   * Throws `ImageError`, or the signal's reason, and then leaves nothing behind.
   */
  async importStream(source: AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<ImageRecord> {
    const name = options.name === undefined ? undefined : parseImageName(options.name);
    const workDirectory = await this.#files.makeWorkDirectory();
    const signal = options.signal ?? new AbortController().signal;
    const onProgress = options.onProgress ?? (() => undefined);
    const { limits, architecture } = this.#settings;
    const received = join(workDirectory, "received");
    try {
      await receiveArchive(source, {
        path: received,
        limits,
        space: new FreeSpace(workDirectory, limits.minFreeBytes),
        onReceived: (bytesDone) => onProgress({ phase: "receive", bytesDone }),
        signal,
      });
      const { format = "auto", config } = options;
      const job = { workDirectory, received, format, name, config, architecture, limits };
      const result = await this.#convert(job, { signal, onProgress });
      return await this.#inTurn(() => this.#commit(result, name === undefined ? result.names : [name]));
    } catch (error) {
      signal.throwIfAborted();
      throw mapDiskFull(error, limits.minFreeBytes);
    } finally {
      await rm(workDirectory, { recursive: true, force: true });
    }
  }

  async #convert(
    job: Omit<ConversionJob, "known">,
    { signal, onProgress }: ConversionOptions,
  ): Promise<ConversionResult> {
    using _slot = await this.#slots.acquire(signal);
    const { maxConversionMs } = job.limits;
    const tooSlow = AbortSignal.timeout(maxConversionMs);
    const bounded = { signal: AbortSignal.any([signal, tooSlow]), onProgress };
    try {
      return await this.#settings.convert({ ...job, known: [...this.#images.keys()] }, bounded);
    } catch (error) {
      signal.throwIfAborted();
      if (!tooSlow.aborted) throw error;
      throw new ImageError(
        "too_large",
        `converting the image takes longer than ${maxConversionMs / 1000} s`,
        "make the image smaller, or raise the node's image limits",
      );
    }
  }

  /**
   * Finds an image by a client's reference: a name, an id, or a unique id prefix. Synchronous, so that the caller can pin the image
   * before a removal can run. Throws `invalid_reference` or `ambiguous`.
   */
  find(ref: string): ImageRecord | undefined {
    const id = this.#find(ref);
    return id === undefined ? undefined : this.#record(id);
  }

  /** The image with exactly this id, for ids in records. Names are not considered. */
  get(id: string): ImageRecord | undefined {
    return this.#images.has(id as Digest) ? this.#record(id as Digest) : undefined;
  }

  /** All images, newest import first. */
  async list(): Promise<ImageRecord[]> {
    const records = [...this.#images.keys()].map((id) => this.#record(id));
    return records.sort((a, b) => (a.importedAt > b.importedAt ? -1 : a.importedAt < b.importedAt ? 1 : 0));
  }

  /**
   * Removes a name. Removes the image too if the name was its last one or `ref` is an id. Returns the image's record and whether the
   * image was deleted. Throws `not_found`, `in_use`, `ambiguous`, `invalid_reference`.
   */
  async remove(ref: string, options: RemoveOptions = {}): Promise<{ record: ImageRecord; deleted: boolean }> {
    return this.#inTurn(async () => {
      const id = this.#find(ref);
      if (id === undefined)
        throw new ImageError("not_found", `no image ${JSON.stringify(ref)}`, "list the images of the node");
      const record = this.#record(id);
      const name = tryParseImageName(ref);
      if (name !== undefined && this.#names.get(name) === id && record.names.length > 1) {
        this.#names.delete(name);
        await this.#files.writeNames(this.#names);
        return { record, deleted: false };
      }
      if (options.inUse?.(id) === true)
        throw new ImageError(
          "in_use",
          `image ${JSON.stringify(ref)} is in use`,
          "delete its containers first",
        );
      await this.#delete(record);
      return { record, deleted: true };
    });
  }

  /** Path of an image's squashfs file, which is read-only and never changes. */
  blobPath(record: Pick<ImageRecord, "blob">): string {
    return this.#files.blobPath(record.blob);
  }

  /** Size of all squashfs files, in bytes. A file that two images share counts once. */
  totalBytes(): number {
    const blobs = new Map([...this.#images.values()].map(({ blob, sizeBytes }) => [blob, sizeBytes]));
    return [...blobs.values()].reduce((sum, size) => sum + size, 0);
  }

  async #commit(result: ConversionResult, names: readonly ImageName[]): Promise<ImageRecord> {
    const { id } = result;
    if (!this.#images.has(id)) {
      if (result.kind === "known")
        throw new ImageError("not_found", `image ${id} was removed while it was imported`, "import it again");
      const { squashfs } = result;
      const importedAt = this.#settings.now().toISOString();
      const image = { ...result.image, createdAt: result.image.createdAt ?? importedAt, importedAt };
      await publish(squashfs, this.#files.blobPath(image.blob), 0o444);
      await this.#files.writeImage(image);
      this.#images.set(id, image);
    }
    if (names.some((name) => this.#names.get(name) !== id)) {
      for (const name of names) this.#names.set(name, id);
      await this.#files.writeNames(this.#names);
    }
    return this.#record(id);
  }

  async #delete({ id, blob, names }: ImageRecord): Promise<void> {
    for (const name of names) this.#names.delete(name);
    this.#images.delete(id);
    await this.#files.removeImage(id);
    await this.#files.writeNames(this.#names);
    const shared = [...this.#images.values()].some((other) => other.blob === blob);
    if (!shared) await this.#files.removeBlob(blob);
  }

  #find(ref: string): Digest | undefined {
    const prefix = parseIdPrefix(ref);
    if (prefix === undefined) return this.#names.get(parseImageName(ref));
    const whole: Digest = `sha256:${prefix}`;
    if (this.#images.has(whole)) return whole;
    const [found, ...others] = [...this.#images.keys()].filter((id) => digestHex(id).startsWith(prefix));
    if (others.length > 0)
      throw new ImageError(
        "ambiguous",
        `${others.length + 1} image ids begin with ${ref}`,
        "give more of the id",
      );
    return found;
  }

  #record(id: Digest): ImageRecord {
    const image = this.#images.get(id);
    if (image === undefined) throw new Error(`image ${id} is missing from the store`);
    return { ...image, names: this.#names.of(id) };
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#lastChange.then(change);
    this.#lastChange = turn.catch(() => undefined);
    return turn;
  }
}

function hostArchitecture(): Architecture {
  return process.arch === "arm64" ? "arm64" : "amd64";
}
