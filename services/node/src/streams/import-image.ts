import { create } from "@bufbuild/protobuf";
import type { ArchiveFormat, ImageConfig, ImportOptions, ImportProgress } from "@paddock/images";
import { Changes } from "@paddock/lifecycle";
import {
  ImageFormat,
  type ImportImageRequest,
  type ImportImageResponse,
  ImportImageResponseSchema,
  ImportPhase,
  type ImportStart,
} from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import { imageFailure } from "../containers/require-image.ts";
import { shownImage } from "../wire/shown-image.ts";
import type { StreamContext } from "./stream-context.ts";

/** Imports an image archive into the node's store. See `paddock.v1.ImageService.ImportImage`. */
export async function* importImage(
  { images, nodeId }: StreamContext,
  requests: AsyncIterable<ImportImageRequest>,
  { signal }: CallContext,
): AsyncGenerator<ImportImageResponse> {
  const { first, rest } = await firstRequest(requests);
  const start = first.message.value;
  const changes = new Changes();
  let newest: ImportProgress | undefined;
  const onProgress = (progress: ImportProgress) => {
    newest = progress;
    changes.notify();
  };
  let over = false;
  const importing = images
    .importStream(bytesOf(rest), { ...optionsOf(start), onProgress, signal })
    .finally(() => {
      over = true;
      changes.notify();
    });
  importing.catch(() => undefined);
  // A slow client gets only the newest progress.
  for (let shown: ImportProgress | undefined; !over; ) {
    if (newest === shown || newest === undefined) {
      await changes.next(signal);
      continue;
    }
    shown = newest;
    yield respond({ case: "progress", value: progressOf(shown, start) });
  }
  const image = await importing.catch((error: unknown) => {
    throw imageFailure(error);
  });
  yield respond({ case: "image", value: shownImage(image, nodeId) }, image.warnings);
}

const respond = (message: ImportImageResponse["message"], warnings: readonly string[] = []) =>
  create(ImportImageResponseSchema, { message, warnings: [...warnings] });

const progressOf = ({ phase, bytesDone, bytesTotal }: ImportProgress, { totalBytes }: ImportStart) => ({
  $typeName: "paddock.v1.ImportProgress" as const,
  phase: PHASES[phase],
  doneBytes: BigInt(bytesDone),
  totalBytes: bytesTotal === undefined ? totalBytes : BigInt(bytesTotal),
});

/** Storing the image is the end of the conversion. */
const PHASES: Record<ImportProgress["phase"], ImportPhase> = {
  receive: ImportPhase.RECEIVE,
  verify: ImportPhase.VERIFY,
  convert: ImportPhase.CONVERT,
  store: ImportPhase.CONVERT,
};

type Data = { readonly message: { readonly value: Uint8Array } };

async function* bytesOf(requests: AsyncIterable<Data>): AsyncGenerator<Uint8Array> {
  for await (const { message } of requests) if (message.value.length > 0) yield message.value;
}

function optionsOf({ name, format, config }: ImportStart): ImportOptions {
  return {
    ...(name !== "" && { name }),
    format: FORMATS[format],
    ...(config && { config: configOf(config) }),
  };
}

const FORMATS: Record<ImageFormat, ArchiveFormat> = {
  [ImageFormat.UNSPECIFIED]: "auto",
  [ImageFormat.OCI]: "oci",
  [ImageFormat.DOCKER]: "docker",
  [ImageFormat.ROOTFS]: "rootfs",
};

const configOf = (config: NonNullable<ImportStart["config"]>): Partial<ImageConfig> => ({
  entrypoint: config.entrypoint,
  cmd: config.command,
  env: config.env,
  workingDir: config.workingDir,
  user: config.user,
  stopSignal: config.stopSignal,
  labels: config.labels,
});
