/** Counts the users of each key. */
export class UseCount<Key> {
  readonly #uses = new Map<Key, number>();

  /** Adds a user, until disposed of. */
  add(key: Key): Disposable {
    this.#uses.set(key, (this.#uses.get(key) ?? 0) + 1);
    const use = new DisposableStack();
    use.defer(() => {
      const left = (this.#uses.get(key) ?? 1) - 1;
      if (left > 0) this.#uses.set(key, left);
      else this.#uses.delete(key);
    });
    return use;
  }

  /** Whether the key has a user. */
  has(key: Key): boolean {
    return this.#uses.has(key);
  }
}
