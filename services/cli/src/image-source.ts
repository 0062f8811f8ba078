/**
 * The source of an image's bytes: an archive, a directory that is packed on the fly, or stdin.
 *
 * tar(1) packs a directory, because it handles sparse files, hard links and extended attributes. A directory with an OCI image
 * layout becomes an OCI archive, any other one a root file system.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, existsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import { ImageFormat } from "@paddock/protocol";
import { CliError, usageError } from "./cli-error.ts";

const CHUNK_BYTES = 256 * 1024;
const LOOKS_LIKE_A_PATH = /^\.{0,2}\//;
const LOOKS_LIKE_AN_ARCHIVE = /\.(tar|tgz|tar\.gz|tar\.zst|oci)$/;

export type ImageSource = {
  readonly label: string;
  readonly format: ImageFormat;
  /** 0 if unknown. */
  readonly totalBytes: number;
  /** Throws `CliError` if the source cannot be read. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** A name for an archive that contains none. */
  readonly suggestedName: string;
};

/** Whether `image` is a path rather than a name. */
export const isImagePath = (image: string): boolean =>
  (LOOKS_LIKE_A_PATH.test(image) || LOOKS_LIKE_AN_ARCHIVE.test(image)) && existsSync(image);

export function openImageSource(path: string, stdin: Readable): ImageSource {
  if (path === "-") {
    return {
      label: "stdin",
      format: ImageFormat.UNSPECIFIED,
      totalBytes: 0,
      chunks: pieces(stdin),
      suggestedName: "",
    };
  }
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw usageError(`there is no file "${path}"`);
  const suggestedName = nameOf(path);
  if (stat.isDirectory()) {
    const format = formatOf(path);
    return { label: path, format, totalBytes: 0, chunks: packed(path), suggestedName };
  }
  const chunks = pieces(createReadStream(path, { highWaterMark: CHUNK_BYTES }));
  return { label: path, format: ImageFormat.UNSPECIFIED, totalBytes: stat.size, chunks, suggestedName };
}

/** The `dir:` format of skopeo and podman has the manifest of one image beside its blobs. */
function formatOf(directory: string): ImageFormat {
  const holds = (name: string) => existsSync(join(directory, name));
  if (holds("oci-layout")) return ImageFormat.OCI;
  return holds("manifest.json") && holds("version") ? ImageFormat.DOCKER : ImageFormat.ROOTFS;
}

const nameOf = (path: string): string =>
  basename(path)
    .replace(LOOKS_LIKE_AN_ARCHIVE, "")
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+/, "");

async function* pieces(source: Readable): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of source) {
      const bytes: Buffer = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
    }
  } catch (error) {
    throw new CliError(`cannot read the image: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

async function* packed(directory: string): AsyncGenerator<Uint8Array> {
  const args = [
    "--create",
    "--file=-",
    "--directory",
    directory,
    "--sort=name",
    "--numeric-owner",
    "--xattrs",
    ".",
  ];
  const tar = spawn("tar", args, { stdio: ["ignore", "pipe", "pipe"] });
  let tarErrors = "";
  const failure = once(tar, "close").then(
    ([code]) => (code === 0 ? undefined : tarErrors),
    (error: Error) => error.message,
  );
  tar.stderr.on("data", (data: Buffer) => {
    tarErrors = `${tarErrors}${data}`.slice(-2000);
  });
  try {
    yield* pieces(tar.stdout);
    const why = await failure;
    if (why !== undefined)
      throw new CliError(`cannot pack the directory ${directory}`, { details: why.trimEnd().split("\n") });
  } finally {
    if (tar.exitCode === null) tar.kill();
  }
}
