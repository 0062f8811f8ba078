/** Reads the JSON that programs print: a part that is missing or of another type is empty. */

export const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};

export const array = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export const string = (value: unknown): string => (typeof value === "string" ? value : "");

export const number = (value: unknown): number => (typeof value === "number" ? value : 0);

/** The objects under that name in a list of objects with one name each. */
export const each = (list: unknown, name: string): readonly Readonly<Record<string, unknown>>[] =>
  array(list).flatMap((item) => (name in record(item) ? [record(record(item)[name])] : []));
