import type { NodeRecord } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import type { ApiContext } from "../api-context.ts";

/** Selects the node of an id, or all nodes for an empty one. Throws NODE_NOT_FOUND. */
export function wantedNode(api: ApiContext, nodeId: string): (record: NodeRecord) => boolean {
  if (nodeId === "") return () => true;
  if (api.nodes.get(nodeId) === undefined) {
    throw new PaddockError("NODE_NOT_FOUND", `there is no node ${nodeId}`, {
      metadata: { node_id: nodeId },
    });
  }
  return (record) => record.nodeId === nodeId;
}
