/** The rules of the house style for files, as functions from a file to its violations. */

import { basename, extname } from "node:path";
import type { TrackedFile } from "./tracked-files.ts";

const LONGEST_FILE_LINES = 350;
const CODE = new Set([".ts", ".mjs", ".js", ".rs", ".sh"]);
const GENERATED = /(?:^|\/)gen\//;
const LOCK_FILE = /(?:^|\/)(?:package-lock\.json|Cargo\.lock)$/;

/** Names that do not describe the content of a file. */
const EMPTY_NAMES = new Set(["utils", "util", "common", "helpers", "helper", "shared", "types", "misc"]);

const KEBAB_CASE = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|bench|config|d))*\.m?[jt]s$/;

export function sizeFaults(file: TrackedFile): string[] {
  if (!CODE.has(extname(file.path)) || GENERATED.test(file.path)) return [];
  const lines = file.read().replace(/\n$/, "").split("\n").length;
  return lines > LONGEST_FILE_LINES ? [`${file.path}: ${lines} lines`] : [];
}

export function nameFaults(file: TrackedFile): string[] {
  if (GENERATED.test(file.path)) return [];
  const faults = file.path
    .split("/")
    .filter((part) => EMPTY_NAMES.has(part.replace(/\..*$/, "")))
    .map((part) => `${file.path}: "${part}" does not describe its content`);
  const name = basename(file.path);
  if (/\.m?[jt]s$/.test(name) && !name.startsWith(".") && !KEBAB_CASE.test(name)) {
    faults.push(`${file.path}: not in kebab-case`);
  }
  return faults;
}

/** Hosts of package registries. They belong in the configuration of a machine, not in the repository. */
export function hostFaults(file: TrackedFile): string[] {
  const text = file.read();
  const hosts = [
    /\b(?:registry|index|static|proxy|repo)\.(?:npmjs|yarnpkg|crates|golang)\.(?:org|com|io)\b/g,
    /^\s*(?:@[\w-]+:)?registry\s*=.*$/gm,
    /"resolved": "(?:git\+)?https?:[^"]*"/g,
    /^source = "(?:sparse\+|registry\+)https?:(?!\/\/github\.com\/rust-lang\/crates\.io-index")[^"]*"/gm,
  ];
  return hosts
    .flatMap((host) => [...text.matchAll(host)].slice(0, 1))
    .map(([found]) => `${file.path}: names a package source: ${found.trim()}`);
}

export function machinePathFaults(file: TrackedFile): string[] {
  if (LOCK_FILE.test(file.path)) return [];
  return [...file.read().matchAll(/(?<![\w.$}-])\/(?:work|root)\/\S*/g)].map(
    ([found]) => `${file.path}: a path of one machine: ${found}`,
  );
}

export function dependencyFaults(manifest: TrackedFile): string[] {
  const parsed = JSON.parse(manifest.read());
  return ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"]
    .flatMap((group) => Object.entries<string>(parsed[group] ?? {}))
    .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
    .map(([name, version]) => `${manifest.path}: ${name} is "${version}", not one version`);
}
