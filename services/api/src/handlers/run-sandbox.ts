import { clone } from "@bufbuild/protobuf";
import {
  type RunSandboxRequest,
  RunSandboxRequestSchema,
  type RunSandboxResponse,
  SandboxService,
} from "@paddock/protocol";
import { type CallContext, requestDigest } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { placeSandbox } from "../sandboxes/place-sandbox.ts";
import { sandboxIdOf } from "../sandboxes/sandbox-id.ts";

/** Places a sandbox on a node, which boots its VM, creates its containers and starts them. */
export const runSandbox =
  (api: ApiContext) =>
  (request: RunSandboxRequest, ctx: CallContext): Promise<RunSandboxResponse> => {
    const body = clone(RunSandboxRequestSchema, request);
    body.sandboxId ||= sandboxIdOf(request.requestId);
    const digest = requestDigest(RunSandboxRequestSchema, body);
    return placeSandbox(api, ctx, { method: SandboxService.method.runSandbox, body, digest });
  };
