import type { ForwardingPlan, Sysctl } from "@paddock/network";

/** Parses a stored plan; undefined if the text is not one. */
export function parseForwarding(text: string): ForwardingPlan | undefined {
  const parsed = parsedJson(text);
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const { set, restore, openedV4, openedV6 }: Record<string, unknown> = { ...parsed };
  if (!isSysctls(set) || !isSysctls(restore) || !isNames(openedV4)) return undefined;
  return { set, restore, openedV4, openedV6: openedV6 === true };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isNames = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((each) => typeof each === "string");

const isSysctls = (value: unknown): value is readonly Sysctl[] =>
  Array.isArray(value) &&
  value.every(
    (each: unknown) =>
      typeof each === "object" &&
      each !== null &&
      "key" in each &&
      "value" in each &&
      typeof each.key === "string" &&
      typeof each.value === "string",
  );
