/** The forms of setting texts. */
import { isAbsolute, join } from "node:path";
import type { Form } from "./settings.ts";

/** Any text. */
export const text: Form<string> = { form: "a text", parse: (given) => given };

export const absolutePath: Form<string> = {
  form: "an absolute path",
  parse: (given) => (isAbsolute(given) ? join(given, ".") : undefined),
};

export const oneOf = <const T extends string>(...allowed: readonly T[]): Form<T> => ({
  form: `one of ${allowed.join(", ")}`,
  parse: (given) => allowed.find((each) => each === given),
});

export const trueOrFalse: Form<boolean> = {
  form: "true or false",
  parse: (given) => (given === "true" ? true : given === "false" ? false : undefined),
};

export const integer = (min: number, max: number): Form<number> => ({
  form: `an integer from ${min} to ${max}`,
  parse: (given) => (/^[0-9]{1,16}$/.test(given) ? within(Number(given), min, max) : undefined),
});

/** A number with at most nine decimals. */
export const decimal = (min: number, max: number): Form<number> => ({
  form: `a number from ${min} to ${max}`,
  parse: (given) => (/^[0-9]{1,9}(\.[0-9]{1,9})?$/.test(given) ? within(Number(given), min, max) : undefined),
});

/** Items separated by commas. `items` names them in the plural. */
export const listOf = <T>(items: string, parse: (item: string) => T | undefined): Form<readonly T[]> => ({
  form: `a list of ${items}, separated by commas`,
  parse: (given) => {
    const items: T[] = [];
    for (const written of given.split(",")) {
      const item = written.trim();
      if (item === "") continue;
      const value = parse(item);
      if (value === undefined) return undefined;
      items.push(value);
    }
    return items;
  },
});

const within = (value: number, min: number, max: number): number | undefined =>
  value >= min && value <= max ? value : undefined;
