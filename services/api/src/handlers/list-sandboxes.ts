import { create, toBinary } from "@bufbuild/protobuf";
import {
  type ListSandboxesRequest,
  ListSandboxesRequestSchema,
  type ListSandboxesResponse,
  ListSandboxesResponseSchema,
  SandboxSchema,
  SandboxService,
} from "@paddock/protocol";
import { afterIdOf, type CallContext, pageSizeOf, pageTokenAfter } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";
import { mergePages } from "../lists/merge-pages.ts";
import { wantedNode } from "../lists/wanted-node.ts";

/** Lists the sandboxes of all nodes, by id. Nodes that do not answer are named, and do not fail the list. */
export const listSandboxes =
  (api: ApiContext) =>
  async (request: ListSandboxesRequest, ctx: CallContext): Promise<ListSandboxesResponse> => {
    const pageSize = pageSizeOf(request.pageSize);
    await api.sight.seen(ctx);
    const wanted = wantedNode(api, request.nodeId);
    const body = create(ListSandboxesRequestSchema, {
      ...request,
      pageSize,
      pageToken: afterIdOf(request.pageToken),
    });
    const every = await askEveryNode(api, ctx, { method: SandboxService.method.listSandboxes, body }, wanted);
    if (every.refusals[0]) throw every.refusals[0].error;
    const pages = every.answers.map(({ answer }) => ({
      items: answer.sandboxes,
      more: answer.nextPageToken !== "",
    }));
    const { items, nextAfter } = mergePages(pages, pageSize, {
      idOf: ({ sandboxId }) => sandboxId,
      bytesOf: (sandbox) => toBinary(SandboxSchema, sandbox).length,
    });
    return create(ListSandboxesResponseSchema, {
      sandboxes: items,
      nextPageToken: nextAfter === undefined ? "" : pageTokenAfter(nextAfter),
      unreachableNodes: [...every.unreachable],
    });
  };
