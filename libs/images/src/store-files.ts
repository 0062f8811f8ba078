/**
 * The files of an image store, and the order in which they change.
 *
 *     <root>/blobs/<sha256>.squashfs   0444, named by its own digest
 *     <root>/images/<id>.json          one image; written after its blob
 *     <root>/names.json                name -> id; replaced atomically, so that a name has one image
 *     <root>/tmp/                      running imports
 *
 * Every change is one rename. A crash leaves files in `tmp` or a blob without an image. `load` removes both, so only one process may
 * have a store open.
 */

import { randomUUID } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestHex, parseDigest } from "./digest.ts";
import { publish, syncDirectory } from "./durable-file.ts";
import { ImageNames } from "./image-names.ts";
import { parseStoredImage, type StoredImage, serializeStoredImage } from "./image-record.ts";
import { JsonObject } from "./json.ts";
import { tryParseImageName } from "./reference.ts";

/** Logs messages for an operator. They contain no secrets. */
export type ImageLog = (message: string, details: Readonly<Record<string, unknown>>) => void;

export interface StoreContents {
  readonly images: Map<Digest, StoredImage>;
  readonly names: ImageNames;
}

export class StoreFiles {
  readonly root: string;
  readonly #log: ImageLog;

  constructor(root: string, log: ImageLog) {
    this.root = root;
    this.#log = log;
  }

  blobPath(blob: Digest): string {
    return join(this.root, "blobs", `${digestHex(blob)}.squashfs`);
  }

  async makeWorkDirectory(): Promise<string> {
    const path = join(this.root, "tmp", randomUUID());
    await mkdir(path, { mode: 0o700 });
    return path;
  }

  /** Creates missing directories, removes the leftovers of a crash, and reads images and names. */
  async load(): Promise<StoreContents> {
    // The unprivileged user of a VM can open a blob by its name but cannot list the directory.
    for (const [name, mode] of [
      ["", 0o711],
      ["blobs", 0o711],
      ["images", 0o700],
      ["tmp", 0o700],
    ] as const) {
      await mkdir(join(this.root, name), { recursive: true });
      await chmod(join(this.root, name), mode);
    }
    await this.#sweep("tmp", () => true);
    const { images, unreadable } = await this.#loadImages();
    const names = await this.#loadNames(images);
    const owned = new Set([...images.values()].map(({ blob }) => `${digestHex(blob)}.squashfs`));
    // An unreadable record may own any of the blobs.
    if (unreadable === 0) await this.#sweep("blobs", (name) => !owned.has(name));
    return { images, names };
  }

  async writeImage(image: StoredImage): Promise<void> {
    await this.#replace(this.#imagePath(image.id), serializeStoredImage(image));
  }

  async removeImage(id: Digest): Promise<void> {
    await rm(this.#imagePath(id), { force: true });
    await syncDirectory(join(this.root, "images"));
  }

  async removeBlob(blob: Digest): Promise<void> {
    await rm(this.blobPath(blob), { force: true });
  }

  async writeNames(names: ImageNames): Promise<void> {
    const sorted = [...names].sort(([a], [b]) => (a < b ? -1 : 1));
    await this.#replace(
      join(this.root, "names.json"),
      `${JSON.stringify(Object.fromEntries(sorted), undefined, 2)}\n`,
    );
  }

  #imagePath(id: Digest): string {
    return join(this.root, "images", `${digestHex(id)}.json`);
  }

  async #replace(path: string, text: string): Promise<void> {
    const temporary = join(this.root, "tmp", `${randomUUID()}.json`);
    await writeFile(temporary, text, { mode: 0o600 });
    await publish(temporary, path, 0o600);
  }

  async #sweep(directory: string, isStray: (name: string) => boolean): Promise<void> {
    const strays = (await readdir(join(this.root, directory))).filter(isStray);
    for (const name of strays) await rm(join(this.root, directory, name), { recursive: true, force: true });
    if (strays.length > 0) this.#log("removed leftovers of an interrupted import", { directory, strays });
  }

  async #loadImages(): Promise<{ images: Map<Digest, StoredImage>; unreadable: number }> {
    const images = new Map<Digest, StoredImage>();
    let unreadable = 0;
    for (const name of await readdir(join(this.root, "images"))) {
      const path = join(this.root, "images", name);
      try {
        const image = parseStoredImage(await readFile(path, "utf8"));
        const { size } = await stat(this.blobPath(image.blob));
        if (size !== image.sizeBytes) throw new Error(`its blob has ${size} bytes, not ${image.sizeBytes}`);
        images.set(image.id, image);
      } catch (error) {
        unreadable += 1;
        this.#log("skipped an image with a damaged record or blob; import it again", { path, error });
      }
    }
    return { images, unreadable };
  }

  async #loadNames(images: ReadonlyMap<Digest, StoredImage>): Promise<ImageNames> {
    const path = join(this.root, "names.json");
    const names = new ImageNames();
    try {
      const stored = JsonObject.parse(await readFile(path, "utf8"), "names.json");
      for (const text of stored.keys()) {
        const id = parseDigest(stored.requiredString(text));
        const name = tryParseImageName(text);
        if (name === undefined)
          this.#log("skipped an image name that is no longer valid", { name: text, id });
        else if (images.has(id)) names.set(name, id);
      }
    } catch (error) {
      const isNew = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (!isNew) this.#log("cannot read the image names; images can be found by id", { path, error });
    }
    return names;
  }
}
