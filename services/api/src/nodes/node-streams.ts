/**
 * gRPC connections to nodes: one for each, kept open, because an exec has no time to connect. Those of nodes that are gone, or have
 * another address now, are closed.
 */
import type { NodeRecord, NodeView } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { nodepb } from "@paddock/protocol";
import { type CallContext, type CallOptions, GrpcConnection, type GrpcMethods } from "@paddock/rpc";

export type NodeClient = GrpcMethods<typeof nodepb.NodeStreamService>;

type Open = { readonly address: string; readonly connection: GrpcConnection; readonly client: NodeClient };

export class NodeStreams implements Disposable {
  readonly #nodes: NodeView;
  readonly #open = new Map<string, Open>();
  readonly #forget: () => void;

  constructor(nodes: NodeView) {
    this.#nodes = nodes;
    this.#forget = nodes.onChange(() => this.#sweep());
  }

  /** The streaming service of a node. Throws `PaddockError` NODE_UNAVAILABLE when its address is not known. */
  client(nodeId: string): NodeClient {
    const address = addressOf(this.#nodes.get(nodeId));
    if (address === undefined) throw unreachable(nodeId, "it has not been seen");
    const open = this.#open.get(nodeId);
    if (open?.address === address) return open.client;
    open?.connection.close();
    const connection = new GrpcConnection(address);
    const client = connection.service(nodepb.NodeStreamService);
    this.#open.set(nodeId, { address, connection, client });
    return client;
  }

  [Symbol.dispose](): void {
    this.#forget();
    for (const { connection } of this.#open.values()) connection.close();
    this.#open.clear();
  }

  #sweep(): void {
    for (const [nodeId, { address, connection }] of this.#open) {
      if (addressOf(this.#nodes.get(nodeId)) === address) continue;
      connection.close();
      this.#open.delete(nodeId);
    }
  }
}

/** Deadline, cancellation and what is forwarded of a call's metadata. */
export const forwarded = (ctx: CallContext): CallOptions => ({
  deadline: ctx.deadline,
  signal: ctx.signal,
  metadata: {
    "paddock-request-id": ctx.requestId,
    traceparent: ctx.trace.traceparent,
    tracestate: ctx.trace.tracestate,
  },
});

/** What a failed call to a node is for the client: a broken connection is the node's absence. */
export function nodeFailure(error: unknown, nodeId: string): unknown {
  const bare = error instanceof PaddockError && error.reason === "UNAVAILABLE";
  return bare ? unreachable(nodeId, "its stream address does not answer", error) : error;
}

const unreachable = (nodeId: string, why: string, cause?: unknown): PaddockError =>
  new PaddockError("NODE_UNAVAILABLE", `node ${nodeId} cannot be reached: ${why}`, {
    hint: `check that the node daemon runs on ${nodeId}`,
    metadata: { node_id: nodeId },
    retryAfterMs: 1_000,
    cause,
  });

const addressOf = (record: NodeRecord | undefined): string | undefined =>
  record?.heartbeat.streamAddress || undefined;
