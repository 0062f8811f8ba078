/**
 * Inputs for the readers, as files: well-formed seeds, and inputs that failed in a fuzz run. A run saves a failing input, so that it can
 * be committed with the fix.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..", "corpus");

export type CorpusName = "tar" | "pax" | "archive" | "document" | "frame";

/** All inputs of a reader, with their file names. */
export function corpus(name: CorpusName): [file: string, input: Buffer][] {
  const directory = join(root, name);
  return readdirSync(directory)
    .sort()
    .map((file) => [file, readFileSync(join(directory, file))]);
}

/** Saves a failing input. Returns its path. */
export function saveFailingInput(name: CorpusName, input: Uint8Array): string {
  const directory = join(root, name);
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `found-${createHash("sha256").update(input).digest("hex").slice(0, 16)}`);
  writeFileSync(path, input);
  return path;
}
