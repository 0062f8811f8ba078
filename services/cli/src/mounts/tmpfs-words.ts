/**
 * A file system in memory in docker's words: `--tmpfs DEST[:OPTION[,OPTION]]`, and its size and mode.
 *
 * As in docker, programs on it cannot be executed and have no privileges of their owner, unless "exec" and "suid" say otherwise.
 * Device files never work on it.
 */
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";
import { parseBytes } from "../output/quantities.ts";
import { destinationOf, type MountInit } from "./mount-place.ts";

const FORM = 'write DEST[:OPTIONS], such as "/run:size=64m,mode=1777"';
const MAX_MODE = 0o7777;
const PAGE_BYTES = 4096;

/** The options of each `--tmpfs` mount that has no others. */
export const TMPFS_OPTIONS: readonly string[] = ["nosuid", "nodev", "noexec"];

/** What turns an option of the mount off. */
const OPPOSITES: ReadonlyMap<string, string> = new Map([
  ["exec", "noexec"],
  ["suid", "nosuid"],
]);

type Settings = { size: bigint; mode: number; readOnly: boolean; readonly flags: Set<string> };

/** The mount of one `--tmpfs`. Throws a usage error. */
export function parseTmpfs(text: string): MountInit {
  const what = `--tmpfs ${printable(text)}`;
  const at = text.indexOf(":");
  const [place, words] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
  const settings: Settings = { size: 0n, mode: 0, readOnly: false, flags: new Set(TMPFS_OPTIONS) };
  for (const word of words === "" ? [] : words.split(",")) apply(what, word, settings);
  const { size, mode, readOnly, flags } = settings;
  return {
    destination: destinationOf(what, place),
    source: { case: "tmpfs", value: { sizeBytes: size, mode } },
    readOnly,
    options: [...flags],
  };
}

function apply(what: string, word: string, settings: Settings): void {
  const [, name = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  if (value !== undefined && name === "size") settings.size = tmpfsSize(what, value);
  else if (value !== undefined && name === "mode") settings.mode = tmpfsMode(what, value);
  else if (word === "ro" || word === "rw") settings.readOnly = word === "ro";
  else if (TMPFS_OPTIONS.includes(word)) settings.flags.add(word);
  else if (OPPOSITES.has(word)) settings.flags.delete(OPPOSITES.get(word) ?? "");
  else
    throw usageError(
      `${what}: "${printable(word)}" is not an option of a tmpfs`,
      `${FORM}; the options are size, mode, ro, rw, exec, noexec, suid, nosuid and nodev`,
    );
}

/** A size in bytes, at least one page. Throws a usage error. */
export function tmpfsSize(what: string, text: string): bigint {
  const bytes = parseBytes(text);
  if (bytes < PAGE_BYTES) throw usageError(`${what}: the size is too small for a tmpfs`, 'at least "4k"');
  return BigInt(bytes);
}

/** Permission bits in octal. Throws a usage error. */
export function tmpfsMode(what: string, text: string): number {
  const mode = /^[0-7]{1,5}$/.test(text) ? Number.parseInt(text, 8) : 0;
  if (mode > 0 && mode <= MAX_MODE) return mode;
  throw usageError(
    `${what}: "${printable(text)}" is not a mode`,
    'octal digits from 1 to 7777, such as "1777" or "700"',
  );
}
