/**
 * Inputs for the readers, kept as files: seeds that are well-formed, and whatever a run of the fuzz tests found to be read wrongly.
 * A run adds the input that failed, so that it is committed with the mend.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..", "corpus");

export type CorpusName = "tar" | "pax" | "archive" | "document" | "frame";

/** All inputs of a reader, by file name. */
export function corpus(name: CorpusName): [file: string, input: Buffer][] {
  const directory = join(root, name);
  return readdirSync(directory)
    .sort()
    .map((file) => [file, readFileSync(join(directory, file))]);
}

/** Keeps an input that failed. Returns where. */
export function keepFound(name: CorpusName, input: Uint8Array): string {
  const directory = join(root, name);
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `found-${createHash("sha256").update(input).digest("hex").slice(0, 16)}`);
  writeFileSync(path, input);
  return path;
}
