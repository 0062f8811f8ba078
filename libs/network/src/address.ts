/** IP addresses as numbers. A number makes arithmetic on pools and the canonical text of an address easy. */
import { isIPv4, isIPv6 } from "node:net";
import { NetworkError } from "./network-error.ts";

export type Family = 4 | 6;

export type Address = { readonly family: Family; readonly value: bigint };

/** Bits of an address of the family. */
export const widthOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

/** The address of a text; undefined if the text is not an IP address. A zone (`%eth0`) is not accepted. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { family: 4, value: v4Value(text) };
  if (isIPv6(text) && !text.includes("%")) return { family: 6, value: v6Value(text) };
  return undefined;
}

/** The address of a text. Throws `invalid`. */
export function requireAddress(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined)
    throw new NetworkError("invalid", `${JSON.stringify(text)} is not an IP address`);
  return address;
}

const v4Value = (text: string): bigint =>
  text.split(".").reduce((value, part) => (value << 8n) | BigInt(part), 0n);

function v6Value(text: string): bigint {
  const tail = text.slice(text.lastIndexOf(":") + 1);
  const plain = tail.includes(".") ? `${text.slice(0, -tail.length)}${groupsOfV4(tail)}` : text;
  const [head = "", rest] = plain.split("::");
  const before = groupsOf(head);
  const after = groupsOf(rest ?? "");
  const gap = rest === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => 0n);
  return [...before, ...gap, ...after].reduce((value, group) => (value << 16n) | group, 0n);
}

const groupsOf = (text: string): bigint[] =>
  text === "" ? [] : text.split(":").map((group) => BigInt(`0x${group}`));

function groupsOfV4(text: string): string {
  const value = v4Value(text);
  return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}

/** The canonical text of an address. IPv6 follows RFC 5952. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((value >> BigInt(112 - 16 * at)) & 0xffffn).toString(16),
  );
  const { start, length } = longestZeros(groups);
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

/** The first of the longest runs of zero groups. */
function longestZeros(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [at, group] of groups.entries()) {
    if (group !== "0") start = at + 1;
    else if (at + 1 - start > best.length) best = { start, length: at + 1 - start };
  }
  return best;
}

export const sameAddress = (a: Address, b: Address): boolean => a.family === b.family && a.value === b.value;
