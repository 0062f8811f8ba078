/**
 * Volumes and host directories in docker's words: `-v SOURCE:DEST[:OPTIONS]` and `--mount KEY=VALUE,…`.
 *
 * A source of `-v` that begins with "/", "." or "~" is a directory of the node, any other one is the name of a volume. `--mount`
 * says which it is.
 */
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";
import { csvFields } from "./csv-fields.ts";
import { destinationOf, type Home, hostPath, isHostPath, type MountInit } from "./mount-place.ts";
import { TMPFS_OPTIONS, tmpfsMode, tmpfsSize } from "./tmpfs-words.ts";
import { volumeName } from "./volume-words.ts";

const VOLUME_FORM =
  'write NAME:DEST[:ro] for a volume and DIRECTORY:DEST[:ro] for a host directory, such as "data:/var/lib/data" or "./src:/src:ro"';
const MOUNT_FORM =
  'write such as "type=volume,source=data,target=/data", "type=bind,source=/srv,target=/srv,readonly" or "type=tmpfs,target=/run,tmpfs-size=64m"';

/** The mount of one `-v`. Throws a usage error. */
export function parseVolume(text: string, home: Home): MountInit {
  const what = `-v ${printable(text)}`;
  const [source = "", destination, words, ...rest] = text.split(":");
  if (source === "" || destination === undefined || rest.length > 0)
    throw usageError(`${what} is not a source and a destination`, VOLUME_FORM);
  return {
    ...directoryOrVolume(what, { source, destination, isHost: isHostPath(source) }, home),
    readOnly: isReadOnly(what, words),
  };
}

function isReadOnly(what: string, words: string | undefined): boolean {
  let readOnly = false;
  for (const word of words?.split(",") ?? []) {
    if (word !== "ro" && word !== "rw")
      throw usageError(`${what}: "${printable(word)}" is not an option of a volume`, `"ro" or "rw"`);
    readOnly = word === "ro";
  }
  return readOnly;
}

type Sides = { readonly source: string; readonly destination: string; readonly isHost: boolean };

const directoryOrVolume = (what: string, { source, destination, isHost }: Sides, home: Home): MountInit => ({
  destination: destinationOf(what, destination),
  source: isHost
    ? { case: "hostDirectory", value: { path: hostPath(what, source, home) } }
    : { case: "volume", value: { name: volumeName(what, source) } },
});

/** Docker's keys of `--mount`, and their other names. */
const KEYS: ReadonlyMap<string, string> = new Map([
  ["type", "type"],
  ["source", "source"],
  ["src", "source"],
  ["target", "target"],
  ["dst", "target"],
  ["destination", "target"],
  ["readonly", "readonly"],
  ["ro", "readonly"],
  ["tmpfs-size", "tmpfs-size"],
  ["tmpfs-mode", "tmpfs-mode"],
]);

/** The mount of one `--mount`. Throws a usage error. */
export function parseMount(text: string, home: Home): MountInit {
  const what = `--mount ${printable(text)}`;
  const given = keysOf(what, text);
  const type = given.get("type") ?? "volume";
  const target = given.get("target");
  if (target === undefined) throw usageError(`${what} has no target`, MOUNT_FORM);
  const readOnly = truth(what, given.get("readonly"));
  if (type === "tmpfs") return { ...tmpfs(what, target, given), readOnly };
  if (type !== "volume" && type !== "bind")
    throw usageError(`${what}: "${printable(type)}" is not a type of mount`, "volume, bind or tmpfs");
  const size = ["tmpfs-size", "tmpfs-mode"].find((key) => given.has(key));
  if (size !== undefined) throw usageError(`${what}: ${size} is for type=tmpfs`, MOUNT_FORM);
  const source = given.get("source");
  if (source === undefined) throw usageError(`${what} has no source`, MOUNT_FORM);
  return {
    ...directoryOrVolume(what, { source, destination: target, isHost: type === "bind" }, home),
    readOnly,
  };
}

function keysOf(what: string, text: string): ReadonlyMap<string, string> {
  const given = new Map<string, string>();
  const fields = csvFields(text);
  if (fields === undefined) throw usageError(`${what} has a quote that does not enclose a field`, MOUNT_FORM);
  for (const field of fields) {
    const [, word = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(field) ?? [];
    const key = KEYS.get(word.toLowerCase());
    if (key === undefined)
      throw usageError(
        `${what}: "${printable(word)}" is not a key of a mount`,
        `the keys are ${[...KEYS.keys()].join(", ")}`,
      );
    if (value === undefined && key !== "readonly")
      throw usageError(`${what}: "${word}" has no value`, `write ${word}=VALUE`);
    if (given.has(key)) throw usageError(`${what} says twice what its ${key} is`, "give it once");
    given.set(key, value ?? "true");
  }
  return given;
}

function tmpfs(what: string, target: string, given: ReadonlyMap<string, string>): MountInit {
  if (given.has("source")) throw usageError(`${what}: a tmpfs has no source`, MOUNT_FORM);
  const [size, mode] = [given.get("tmpfs-size"), given.get("tmpfs-mode")];
  const value = {
    sizeBytes: size === undefined ? 0n : tmpfsSize(what, size),
    mode: mode === undefined ? 0 : tmpfsMode(what, mode),
  };
  return {
    destination: destinationOf(what, target),
    source: { case: "tmpfs", value },
    options: [...TMPFS_OPTIONS],
  };
}

function truth(what: string, text: string | undefined): boolean {
  switch (text) {
    case undefined:
    case "false":
    case "0":
      return false;
    case "true":
    case "1":
      return true;
    default:
      throw usageError(`${what}: readonly cannot be "${printable(text)}"`, '"true" or "false"');
  }
}
