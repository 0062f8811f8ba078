import { clone, create } from "@bufbuild/protobuf";
import type { Liveness, NodeRecord } from "@paddock/bus";
import { type Amount, type NodeOffer, PaddockError } from "@paddock/domain";
import { type Node, type NodeCapacity, NodeSchema, NodeState } from "@paddock/protocol";

const STATES: Readonly<Record<Liveness, NodeState>> = {
  up: NodeState.UP,
  suspect: NodeState.SUSPECT,
  down: NodeState.DOWN,
};

/** A node as the api reports it: the node's own report, its id, and the state derived from its heartbeats. */
export function nodeMessage({ nodeId, heartbeat, liveness }: NodeRecord): Node {
  const message = heartbeat.node ? clone(NodeSchema, heartbeat.node) : create(NodeSchema);
  message.nodeId = nodeId;
  message.state = STATES[liveness];
  return message;
}

export const noNode = (nodeId: string): PaddockError =>
  new PaddockError("NODE_NOT_FOUND", `there is no node ${nodeId}`, { metadata: { node_id: nodeId } });

/** A node as placement sees it. */
export function nodeOffer(record: NodeRecord): NodeOffer {
  const { node } = record.heartbeat;
  return {
    nodeId: record.nodeId,
    liveness: record.liveness,
    cordoned: node?.cordoned ?? false,
    capacity: amount(node?.capacity),
    allocated: amount(node?.allocated),
  };
}

const amount = (capacity: NodeCapacity | undefined): Amount => ({
  milliCpus: Number(capacity?.milliCpus ?? 0n),
  memoryBytes: Number(capacity?.memoryBytes ?? 0n),
  diskBytes: Number(capacity?.diskBytes ?? 0n),
});
