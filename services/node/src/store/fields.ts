/** Reads the fields of an unchecked JSON object. Each reader throws an error with the field's name if its value is invalid. */
export class Fields {
  readonly #object: object;

  private constructor(object: object) {
    this.#object = object;
  }

  static parse(text: string): Fields {
    return Fields.#of(JSON.parse(text), "the text");
  }

  static #of(value: unknown, what: string): Fields {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new Error(`${what} is not an object`);
    return new Fields(value);
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  string(name: string): string {
    const value = this.#get(name);
    if (typeof value !== "string") throw new Error(`${name} is not a string`);
    return value;
  }

  number(name: string): number {
    const value = this.#get(name);
    if (typeof value !== "number" || !Number.isFinite(value)) throw new Error(`${name} is not a number`);
    return value;
  }

  integer(name: string): number {
    const value = this.number(name);
    if (!Number.isSafeInteger(value)) throw new Error(`${name} is not an integer`);
    return value;
  }

  boolean(name: string): boolean {
    const value = this.#get(name);
    if (typeof value !== "boolean") throw new Error(`${name} is not a boolean`);
    return value;
  }

  /** Base64. */
  bytes(name: string): Uint8Array {
    return Buffer.from(this.string(name), "base64");
  }

  object(name: string): Fields {
    return Fields.#of(this.#get(name), name);
  }

  objects(name: string): Fields[] {
    const value = this.#get(name);
    if (!Array.isArray(value)) throw new Error(`${name} is not a list`);
    return value.map((item, index) => Fields.#of(item, `${name}[${index}]`));
  }

  strings(name: string): string[] {
    const value = this.#get(name);
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string"))
      throw new Error(`${name} is no list of strings`);
    return value;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.string(name);
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) throw new Error(`${name} is ${value}, not one of ${allowed.join(", ")}`);
    return found;
  }

  #get(name: string): unknown {
    const own = Object.getOwnPropertyDescriptor(this.#object, name);
    return own?.value;
  }
}
