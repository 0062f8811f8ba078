import { type DeleteVolumeRequest, type DeleteVolumeResponse, VolumeService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";
import { isAbsence, noVolume } from "../lists/find-volume.ts";

/** Deletes a volume. All nodes are asked, because only the node that has deleted it knows the answer to a repeat. */
export const deleteVolume =
  (api: ApiContext) =>
  async (body: DeleteVolumeRequest, ctx: CallContext): Promise<DeleteVolumeResponse> => {
    await api.sight.seen(ctx);
    const command = { method: VolumeService.method.deleteVolume, body };
    const { answers, refusals, unreachable } = await askEveryNode(api, ctx, command);
    const [first] = answers;
    if (first !== undefined) return first.answer;
    const refusal = refusals.find(({ error }) => !isAbsence(error));
    throw refusal?.error ?? noVolume(body.name, unreachable);
  };
