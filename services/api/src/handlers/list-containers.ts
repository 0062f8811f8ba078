import { create, toBinary } from "@bufbuild/protobuf";
import {
  ContainerSchema,
  ContainerService,
  type ListContainersRequest,
  ListContainersRequestSchema,
  type ListContainersResponse,
  ListContainersResponseSchema,
} from "@paddock/protocol";
import { afterIdOf, type CallContext, containerKey, pageSizeOf, pageTokenAfter } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";
import { mergePages } from "../lists/merge-pages.ts";
import { wantedNode } from "../lists/wanted-node.ts";
import { askSandbox } from "../sandboxes/ask-sandbox.ts";

const METHOD = ContainerService.method.listContainers;

/** Lists the containers of one sandbox, or of all. Nodes that do not answer are named, and do not fail the list. */
export const listContainers =
  (api: ApiContext) =>
  async (request: ListContainersRequest, ctx: CallContext): Promise<ListContainersResponse> => {
    const pageSize = pageSizeOf(request.pageSize);
    const body = create(ListContainersRequestSchema, {
      ...request,
      pageSize,
      pageToken: afterIdOf(request.pageToken),
    });
    const { answers, unreachable } = await ask(api, ctx, body);
    const pages = answers.map(({ containers, nextPageToken }) => ({
      items: containers,
      more: nextPageToken !== "",
    }));
    const { items, nextAfter } = mergePages(pages, pageSize, {
      idOf: containerKey,
      bytesOf: (container) => toBinary(ContainerSchema, container).length,
    });
    return create(ListContainersResponseSchema, {
      containers: items,
      nextPageToken: nextAfter === undefined ? "" : pageTokenAfter(nextAfter),
      unreachableNodes: [...unreachable],
    });
  };

type Answers = {
  readonly answers: readonly ListContainersResponse[];
  readonly unreachable: readonly string[];
};

async function ask(api: ApiContext, ctx: CallContext, body: ListContainersRequest): Promise<Answers> {
  const wanted = wantedNode(api, body.nodeId);
  if (body.sandboxId !== "") {
    const page = await askSandbox(api, ctx, METHOD, body);
    const ofNode = page.containers.filter(({ nodeId }) => body.nodeId === "" || nodeId === body.nodeId);
    return { answers: [{ ...page, containers: ofNode }], unreachable: [] };
  }
  await api.sight.seen(ctx);
  const { answers, refusals, unreachable } = await askEveryNode(api, ctx, { method: METHOD, body }, wanted);
  if (refusals[0]) throw refusals[0].error;
  return { answers: answers.map(({ answer }) => answer), unreachable };
}
