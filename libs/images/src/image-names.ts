import type { Digest } from "./digest.ts";
import type { ImageName } from "./reference.ts";

/** Maps names to images and images to names; both are one lookup. */
export class ImageNames implements Iterable<[ImageName, Digest]> {
  readonly #images = new Map<ImageName, Digest>();
  /** Sorted names of each image that has any; replaced on change. */
  readonly #names = new Map<Digest, readonly ImageName[]>();

  get(name: ImageName): Digest | undefined {
    return this.#images.get(name);
  }

  /** The names of an image, sorted. */
  of(id: Digest): readonly ImageName[] {
    return this.#names.get(id) ?? [];
  }

  /** Gives the name to an image. An image that had the name loses it. */
  set(name: ImageName, id: Digest): void {
    this.delete(name);
    this.#images.set(name, id);
    this.#names.set(id, [...this.of(id), name].sort());
  }

  delete(name: ImageName): void {
    const id = this.#images.get(name);
    if (id === undefined) return;
    this.#images.delete(name);
    const left = this.of(id).filter((each) => each !== name);
    if (left.length > 0) this.#names.set(id, left);
    else this.#names.delete(id);
  }

  [Symbol.iterator](): Iterator<[ImageName, Digest]> {
    return this.#images.entries();
  }
}
