import { clone } from "@bufbuild/protobuf";
import {
  type CreateSandboxRequest,
  CreateSandboxRequestSchema,
  type CreateSandboxResponse,
  SandboxService,
} from "@paddock/protocol";
import { type CallContext, requestDigest } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { placeSandbox } from "../sandboxes/place-sandbox.ts";
import { sandboxIdOf } from "../sandboxes/sandbox-id.ts";

/** Places a sandbox on a node, which boots its VM and creates its containers. */
export const createSandbox =
  (api: ApiContext) =>
  (request: CreateSandboxRequest, ctx: CallContext): Promise<CreateSandboxResponse> => {
    const body = clone(CreateSandboxRequestSchema, request);
    body.sandboxId ||= sandboxIdOf(request.requestId);
    const digest = requestDigest(CreateSandboxRequestSchema, body);
    return placeSandbox(api, ctx, { method: SandboxService.method.createSandbox, body, digest });
  };
