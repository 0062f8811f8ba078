import { type RunSandboxRequest, type RunSandboxResponse, SandboxService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { createOnNode } from "../sandboxes/create-on-node.ts";

/** Places a sandbox on a node, which boots its VM, creates its containers and starts them. */
export const runSandbox =
  (api: ApiContext) =>
  (request: RunSandboxRequest, ctx: CallContext): Promise<RunSandboxResponse> =>
    createOnNode(api, ctx, SandboxService.method.runSandbox, request);
