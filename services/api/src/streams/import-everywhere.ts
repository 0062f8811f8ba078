/**
 * One import, streamed to several nodes at the same time.
 *
 * A chunk of the archive is read from the client when every node has accepted the previous one: the slowest node sets the pace,
 * and one chunk is kept here. The first node that fails ends the import. Nodes that have the image keep it, and a repeated import
 * returns the same id. Progress is that of the slowest node; progress that is faster than the client reads is dropped.
 */
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  type Image,
  ImageService,
  type ImportImageRequest,
  type ImportImageResponse,
  ImportImageResponseSchema,
  type ImportProgress,
} from "@paddock/protocol";
import type { CallContext, GrpcMethods } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { joinImages } from "../lists/join-images.ts";
import { forwarded, nodeFailure } from "../nodes/node-streams.ts";

type NodeImport = {
  readonly nodeId: string;
  readonly call: ReturnType<GrpcMethods<typeof ImageService>["importImage"]>;
  progress: ImportProgress | undefined;
  image: Image | undefined;
  warnings: readonly string[];
};

/** Progress, and at the end the image with the nodes that have it. */
export async function* importEverywhere(
  api: ApiContext,
  ctx: CallContext,
  nodeIds: readonly string[],
  first: ImportImageRequest,
  rest: AsyncIterable<ImportImageRequest>,
): AsyncGenerator<ImportImageResponse> {
  const imports = nodeIds.map<NodeImport>((nodeId) => ({
    nodeId,
    call: api.streams.connection(nodeId).caller(ImageService.method.importImage)(forwarded(ctx)),
    progress: undefined,
    image: undefined,
    warnings: [],
  }));
  let change = Promise.withResolvers<void>();
  let isOver = false;
  const changed = () => change.resolve();
  try {
    const done = Promise.all([pump(imports, first, rest), ...imports.map((each) => follow(each, changed))]);
    const end = () => {
      isOver = true;
      changed();
    };
    done.then(end, end);
    for (;;) {
      // Several changes before the client reads count as one.
      await change.promise;
      change = Promise.withResolvers();
      if (isOver) break;
      const progress = slowest(imports);
      if (progress)
        yield create(ImportImageResponseSchema, { message: { case: "progress", value: progress } });
    }
    await done;
    const warnings = [...new Set(imports.flatMap((each) => each.warnings))];
    yield create(ImportImageResponseSchema, { message: { case: "image", value: joined(imports) }, warnings });
  } finally {
    for (const { call } of imports) call.cancel();
  }
}

async function pump(
  imports: readonly NodeImport[],
  first: ImportImageRequest,
  rest: AsyncIterable<ImportImageRequest>,
): Promise<void> {
  // A write fails when the node has ended the call; `follow` then returns the reason.
  const writeAll = (request: ImportImageRequest) =>
    Promise.all(imports.map(({ call }) => call.write(request).catch(() => {})));
  await writeAll(first);
  for await (const request of rest) await writeAll(request);
  for (const { call } of imports) call.end();
}

async function follow(each: NodeImport, changed: () => void): Promise<void> {
  try {
    for await (const { message, warnings } of each.call) {
      if (message.case === "progress") each.progress = message.value;
      if (message.case === "image") each.image = message.value;
      each.warnings = warnings;
      changed();
    }
  } catch (error) {
    throw nodeFailure(error, each.nodeId);
  }
  if (each.image === undefined) {
    throw new PaddockError("INTERNAL", `node ${each.nodeId} ended the import without an image`);
  }
}

function slowest(imports: readonly NodeImport[]): ImportProgress | undefined {
  const running = imports.filter(({ image, progress }) => image === undefined && progress !== undefined);
  return running
    .map(({ progress }) => progress)
    .reduce((a, b) => (a && b && a.doneBytes <= b.doneBytes ? a : b), running[0]?.progress);
}

function joined(imports: readonly NodeImport[]): Image {
  const images = imports.flatMap(({ nodeId, image }) => (image ? [{ ...image, nodeIds: [nodeId] }] : []));
  const [first, ...others] = images;
  if (first === undefined) throw new PaddockError("INTERNAL", "an import has no nodes");
  return others.reduce<Image>(joinImages, first);
}
