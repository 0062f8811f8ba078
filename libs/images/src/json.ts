import { ImageError, invalidArchive, invalidDocument } from "./image-error.ts";
import { maxJsonItems } from "./limits.ts";

/**
 * Reads values from untrusted JSON. A missing or null field is `undefined`. A field of another type throws `invalid_archive`, which
 * names the field.
 */
export class JsonObject {
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #what: string;

  private constructor(fields: ReadonlyMap<string, unknown>, what: string) {
    this.#fields = fields;
    this.#what = what;
  }

  static parse(text: string, what: string): JsonObject {
    return JsonObject.of(parseJson(text, what), what);
  }

  static of(value: unknown, what: string): JsonObject {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw wrong(what, "is not a JSON object");
    const fields = Object.entries(value);
    refuseLong(what, fields.length);
    return new JsonObject(new Map(fields), what);
  }

  keys(): string[] {
    return [...this.#fields.keys()];
  }

  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  /** A number; a value of another type counts as missing. */
  number(key: string): number | undefined {
    const value = this.#get(key);
    return typeof value === "number" ? value : undefined;
  }

  string(key: string): string | undefined {
    const value = this.#get(key);
    if (value !== undefined && typeof value !== "string") throw this.#wrong(key, "a string");
    if (value?.includes("\0")) throw this.#wrong(key, "free of NUL characters");
    return value;
  }

  /** A string; a value of another type counts as missing. For optional annotations. */
  text(key: string): string | undefined {
    const value = this.#get(key);
    return typeof value === "string" ? value : undefined;
  }

  requiredString(key: string): string {
    const value = this.string(key);
    if (value === undefined) throw this.#wrong(key, "present");
    return value;
  }

  /** A whole number of at least 0. */
  size(key: string): number {
    const value = this.#get(key);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
      throw this.#wrong(key, "a size in bytes");
    return value;
  }

  object(key: string): JsonObject | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : JsonObject.of(value, `${this.#what}: ${key}`);
  }

  objects(key: string): JsonObject[] {
    return this.#array(key).map((item, i) => JsonObject.of(item, `${this.#what}: ${key}[${i}]`));
  }

  strings(key: string): string[] {
    return this.#array(key).map((item) => {
      if (typeof item !== "string" || item.includes("\0")) throw this.#wrong(key, "an array of strings");
      return item;
    });
  }

  /** An array of strings. A single string counts as an array of one, as in docker. */
  words(key: string): string[] {
    return typeof this.#get(key) === "string" ? [this.requiredString(key)] : this.strings(key);
  }

  /** An object whose values are all strings. */
  stringMap(key: string): Record<string, string> {
    const object = this.object(key);
    const names = object?.keys() ?? [];
    return Object.fromEntries(names.map((name) => [name, object?.string(name) ?? ""]));
  }

  #array(key: string): unknown[] {
    const value = this.#get(key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw this.#wrong(key, "an array");
    refuseLong(`${this.#what}: ${key}`, value.length);
    return value;
  }

  #get(key: string): unknown {
    return this.#fields.get(key) ?? undefined;
  }

  #wrong(key: string, expected: string): Error {
    return wrong(this.#what, `${key} is not ${expected}`);
  }
}

/** Splits `where` into the document's name and the path inside it. The path becomes part of the message. */
function wrong(where: string, what: string): ImageError {
  const [document = "", ...path] = where.split(": ");
  return invalidDocument(document, [...path, what].join(": "));
}

function refuseLong(what: string, items: number): void {
  if (items > maxJsonItems)
    throw new ImageError(
      "too_large",
      `${what} has ${items} items`,
      `a manifest or config may have up to ${maxJsonItems} in one list`,
    );
}

/** Parses JSON. Throws `invalid_archive`. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidArchive(`${what} is not JSON`, { cause: error });
  }
}
