import { candidates, hasReason, invalidField, isOutcomeUnknown } from "@paddock/domain";
import { type CreateVolumeRequest, type CreateVolumeResponse, VolumeService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { findVolume, nodeOfVolume } from "../lists/find-volume.ts";
import { askNode } from "../nodes/ask-node.ts";
import { nodeOffer, noNode } from "../nodes/node-message.ts";
import { volumeNameOf } from "../sandboxes/sandbox-id.ts";

/** A volume takes neither CPUs nor memory. */
const NOTHING = { room: { milliCpus: 0, memoryBytes: 0, diskBytes: 0 } };

/**
 * Creates a volume on the node of the request, on that of the source, or on the emptiest with room. A node that has the name decides
 * itself: the request is a repeat, or the name is taken. Names are unique as far as nodes answer.
 */
export const createVolume =
  (api: ApiContext) =>
  async (request: CreateVolumeRequest, ctx: CallContext): Promise<CreateVolumeResponse> => {
    const body = { ...request, name: request.name || volumeNameOf(request.requestId) };
    const [first, ...others] = await nodesFor(api, ctx, body);
    const ask = (nodeId: string) =>
      askNode(api, ctx, { nodeId, method: VolumeService.method.createVolume, body, awaitOutcome: true });
    let answer = ask(first);
    for (const next of others)
      answer = answer.catch((error: unknown) => {
        if (!hasNoRoom(error) || ctx.signal.aborted) throw error;
        return ask(next);
      });
    return await answer;
  };

const hasNoRoom = (error: unknown): boolean =>
  hasReason(error, "NO_DISK_SPACE", "STATE_UNWRITABLE", "NOT_IMPLEMENTED") && !isOutcomeUnknown(error);

async function nodesFor(
  api: ApiContext,
  ctx: CallContext,
  { name, nodeId, source }: CreateVolumeRequest,
): Promise<readonly [string, ...string[]]> {
  const { nodeId: owner } = await findVolume(api, ctx, name);
  if (owner !== undefined) return [owner];
  if (nodeId !== "" && api.nodes.get(nodeId) === undefined) throw noNode(nodeId);
  if (source !== "") {
    const from = await nodeOfVolume(api, ctx, source);
    if (nodeId === "" || nodeId === from) return [from];
    throw invalidField("node_id", `must be ${from}, the node of the source`);
  }
  return nodeId === "" ? candidates(api.nodes.all().map(nodeOffer), NOTHING, name) : [nodeId];
}
