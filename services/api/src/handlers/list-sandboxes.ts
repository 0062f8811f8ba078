import { create, toBinary } from "@bufbuild/protobuf";
import {
  type ListSandboxesRequest,
  type ListSandboxesResponse,
  ListSandboxesResponseSchema,
  SandboxSchema,
  SandboxService,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { listOnNodes } from "../lists/list-on-nodes.ts";

/** Lists the sandboxes of all nodes, or of one. */
export const listSandboxes =
  (api: ApiContext) =>
  async (request: ListSandboxesRequest, ctx: CallContext): Promise<ListSandboxesResponse> => {
    const { items: sandboxes, ...page } = await listOnNodes(api, ctx, request, {
      method: SandboxService.method.listSandboxes,
      pageOf: ({ sandboxes: items, nextPageToken }) => ({ items, more: nextPageToken !== "" }),
      idOf: ({ sandboxId }) => sandboxId,
      bytesOf: (sandbox) => toBinary(SandboxSchema, sandbox).length,
    });
    return create(ListSandboxesResponseSchema, { sandboxes, ...page });
  };
