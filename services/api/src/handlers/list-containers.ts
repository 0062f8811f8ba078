import { create, toBinary } from "@bufbuild/protobuf";
import {
  ContainerSchema,
  ContainerService,
  type ListContainersRequest,
  type ListContainersResponse,
  ListContainersResponseSchema,
} from "@paddock/protocol";
import { type CallContext, containerKey } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { listOnNodes, listPage, nodeRequest, wantedNode } from "../lists/list-on-nodes.ts";
import type { ItemRules } from "../lists/merge-pages.ts";
import { askSandbox } from "../sandboxes/ask-sandbox.ts";

const METHOD = ContainerService.method.listContainers;
const RULES: ItemRules<ListContainersResponse["containers"][number]> = {
  idOf: containerKey,
  bytesOf: (container) => toBinary(ContainerSchema, container).length,
};

/** Lists the containers of one sandbox, of one node, or of all. */
export const listContainers =
  (api: ApiContext) =>
  async (request: ListContainersRequest, ctx: CallContext): Promise<ListContainersResponse> => {
    const list = request.sandboxId === "" ? onNodes : ofSandbox;
    const { items: containers, ...page } = await list(api, ctx, request);
    return create(ListContainersResponseSchema, { containers, ...page });
  };

const onNodes = (api: ApiContext, ctx: CallContext, request: ListContainersRequest) =>
  listOnNodes(api, ctx, request, { method: METHOD, pageOf, ...RULES });

async function ofSandbox(api: ApiContext, ctx: CallContext, request: ListContainersRequest) {
  const { nodeId } = request;
  wantedNode(api, nodeId);
  const { items, more } = pageOf(await askSandbox(api, ctx, METHOD, nodeRequest(request)));
  const ofNode = items.filter((each) => nodeId === "" || each.nodeId === nodeId);
  return { ...listPage([{ items: ofNode, more }], request, RULES), unreachableNodes: [] };
}

const pageOf = ({ containers: items, nextPageToken }: ListContainersResponse) => ({
  items,
  more: nextPageToken !== "",
});
