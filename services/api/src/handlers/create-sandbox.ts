import { type CreateSandboxRequest, type CreateSandboxResponse, SandboxService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { createOnNode } from "../sandboxes/create-on-node.ts";

/** Places a sandbox on a node, which boots its VM and creates its containers. */
export const createSandbox =
  (api: ApiContext) =>
  (request: CreateSandboxRequest, ctx: CallContext): Promise<CreateSandboxResponse> =>
    createOnNode(api, ctx, SandboxService.method.createSandbox, request);
