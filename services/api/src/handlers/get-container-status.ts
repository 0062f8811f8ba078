import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  type GetContainerStatusRequest,
  type GetContainerStatusResponse,
  GetContainerStatusResponseSchema,
  GetSandboxRequestSchema,
  SandboxService,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askSandbox } from "../sandboxes/ask-sandbox.ts";

/** Reports a container, from the status of its sandbox. An unknown container is an error, never an empty status. */
export const getContainerStatus =
  (api: ApiContext) =>
  async (request: GetContainerStatusRequest, ctx: CallContext): Promise<GetContainerStatusResponse> => {
    const { sandboxId, containerId } = request;
    const body = create(GetSandboxRequestSchema, { sandboxId });
    const { sandbox } = await askSandbox(api, ctx, SandboxService.method.getSandbox, body);
    const container = sandbox?.status?.containers.find((each) => each.containerId === containerId);
    if (container === undefined) {
      throw new PaddockError("CONTAINER_NOT_FOUND", `sandbox ${sandboxId} has no container ${containerId}`, {
        metadata: { sandbox_id: sandboxId, container_id: containerId },
      });
    }
    return create(GetContainerStatusResponseSchema, { container });
  };
