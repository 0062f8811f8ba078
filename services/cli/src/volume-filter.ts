/** `volume ls --filter KEY=VALUE` with the keys of docker. A volume is shown when it matches one value of each key given. */
import type { Volume } from "@paddock/protocol";
import { usageError } from "./cli-error.ts";
import { hasLabel } from "./sandbox-filter.ts";

const TESTS: Readonly<Record<string, (volume: Volume, value: string) => boolean>> = {
  name: ({ name }, value) => name.includes(value),
  label: ({ labels }, value) => hasLabel(labels, value),
  node: ({ nodeId }, value) => nodeId === value,
  dangling: ({ users }, value) => (users.length === 0) === (value === "true" || value === "1"),
};

const TRUTHS: readonly string[] = ["true", "1", "false", "0"];

/** Whether a volume matches. Throws a usage error. */
export function parseVolumeFilter(texts: readonly string[]): (volume: Volume) => boolean {
  const values = new Map<string, string[]>();
  for (const text of texts) {
    const [, key = "", value = ""] = /^([^=]*)=?(.*)$/s.exec(text) ?? [];
    if (!Object.hasOwn(TESTS, key) || value === "")
      throw usageError(
        `"${text}" is not a filter`,
        `write KEY=VALUE with one of ${Object.keys(TESTS).join(", ")}`,
      );
    if (key === "dangling" && !TRUTHS.includes(value))
      throw usageError(`dangling is true or false, not "${value}"`);
    values.set(key, [...(values.get(key) ?? []), value]);
  }
  const wanted = [...values];
  // Each label is a separate condition.
  return (volume) =>
    wanted.every(([key, given]) =>
      key === "label"
        ? given.every((value) => TESTS[key]?.(volume, value))
        : given.some((value) => TESTS[key]?.(volume, value)),
    );
}
