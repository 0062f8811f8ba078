import { create } from "@bufbuild/protobuf";
import type { ArchiveFormat, ImageConfig, ImportOptions, ImportProgress } from "@paddock/images";
import { ImageFormat, ImportPhase, type ImportStart, nodepb } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { imageFailure } from "../containers/require-image.ts";
import { shownImage } from "../containers/shown-image.ts";
import { Changes } from "../logs/changes.ts";
import { firstRequest, invalidStart } from "./first-request.ts";
import type { StreamContext } from "./stream-context.ts";

/** Takes an image archive into the node's store. See `paddock.v1.ImageService.ImportImage`. */
export async function* importImage(
  { images, nodeId }: StreamContext,
  requests: AsyncIterable<nodepb.ImportImageRequest>,
  { signal }: CallContext,
): AsyncGenerator<nodepb.ImportImageResponse> {
  const { first, rest } = await firstRequest(requests);
  const message = first.request?.message;
  if (message?.case !== "start") throw invalidStart();
  const start = message.value;
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
  // A client that reads slowly gets the newest progress, not all of it.
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

const respond = (
  message: NonNullable<nodepb.ImportImageResponse["response"]>["message"],
  warnings: readonly string[] = [],
) => create(nodepb.ImportImageResponseSchema, { response: { message, warnings: [...warnings] } });

const progressOf = ({ phase, bytesDone, bytesTotal }: ImportProgress, { totalBytes }: ImportStart) => ({
  $typeName: "paddock.v1.ImportProgress" as const,
  phase: PHASES[phase],
  doneBytes: BigInt(bytesDone),
  totalBytes: bytesTotal === undefined ? totalBytes : BigInt(bytesTotal),
});

/** To put the image in place is the end of converting it. */
const PHASES: Record<ImportProgress["phase"], ImportPhase> = {
  receive: ImportPhase.RECEIVE,
  verify: ImportPhase.VERIFY,
  convert: ImportPhase.CONVERT,
  store: ImportPhase.CONVERT,
};

async function* bytesOf(requests: AsyncIterable<nodepb.ImportImageRequest>): AsyncGenerator<Uint8Array> {
  for await (const { request } of requests) {
    if (request?.message.case !== "data") throw invalidStart();
    if (request.message.value.length > 0) yield request.message.value;
  }
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
