import { create } from "@bufbuild/protobuf";
import {
  GetSandboxRequestSchema,
  type GetSandboxStatusRequest,
  type GetSandboxStatusResponse,
  GetSandboxStatusResponseSchema,
  SandboxService,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askSandbox } from "../sandboxes/ask-sandbox.ts";
import { noSandbox } from "../sandboxes/locate-sandbox.ts";

/** Reports the status of a sandbox, a part of its node's report. */
export const getSandboxStatus =
  (api: ApiContext) =>
  async ({ sandboxId }: GetSandboxStatusRequest, ctx: CallContext): Promise<GetSandboxStatusResponse> => {
    const body = create(GetSandboxRequestSchema, { sandboxId });
    const { sandbox } = await askSandbox(api, ctx, SandboxService.method.getSandbox, body);
    if (sandbox?.status === undefined) throw noSandbox(sandboxId);
    return create(GetSandboxStatusResponseSchema, { status: sandbox.status });
  };
