/**
 * gRPC connections to nodes: one per node, kept open, because connecting would delay an exec. The connection is closed when its
 * node is removed or has a new address.
 *
 * A node writes its heartbeat itself. So the api connects to the address in it only if it is a host and a port, and if the
 * credentials allow it: a secret is for nodes on this host. The server at the address must prove that it is that node.
 */
import type { NodeRecord, NodeView } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { GENERATION_KEY, REQUEST_ID_KEY } from "@paddock/protocol";
import {
  type CallContext,
  type CallOptions,
  formatHostPort,
  GrpcConnection,
  type HostPort,
  isLoopback,
  isWildcard,
  NOT_AUTHENTICATED,
  PeerChannelCredentials,
  type PeerCredentials,
  parseHostPort,
} from "@paddock/rpc";
import type { Logger } from "@paddock/telemetry";

type Open = {
  /** As in the heartbeat. */
  readonly address: string;
  readonly connection: GrpcConnection;
};

export class NodeStreams implements Disposable {
  readonly #nodes: NodeView;
  readonly #credentials: () => PeerCredentials;
  readonly #log: Logger;
  readonly #open = new Map<string, Open>();
  readonly #forget: () => void;

  /** `credentials` returns the current ones. */
  constructor(nodes: NodeView, credentials: () => PeerCredentials, log: Logger) {
    this.#nodes = nodes;
    this.#credentials = credentials;
    this.#log = log;
    this.#forget = nodes.onChange(() => this.#sweep());
  }

  /** The connection to a node. Throws `PaddockError` NODE_UNAVAILABLE if its address is unknown or not allowed. */
  connection(nodeId: string): GrpcConnection {
    const address = addressOf(this.#nodes.get(nodeId));
    if (address === undefined) throw unreachable(nodeId, "it has not been seen");
    const open = this.#open.get(nodeId);
    if (open?.address === address) return open.connection;
    const problem = addressProblem(address, this.#credentials().kind);
    if (problem !== undefined) throw unreachable(nodeId, problem);
    open?.connection.close();
    const connection = new GrpcConnection(dialled(address), this.#channelTo(nodeId));
    this.#open.set(nodeId, { address, connection });
    return connection;
  }

  [Symbol.dispose](): void {
    this.#forget();
    for (const { connection } of this.#open.values()) connection.close();
    this.#open.clear();
  }

  #channelTo(nodeId: string): PeerChannelCredentials {
    return new PeerChannelCredentials({
      credentials: this.#credentials,
      nodeId,
      onRefused: (err) =>
        this.#log.warn(
          { err, nodeId },
          "cannot open a stream to a node: one side failed to authenticate the other",
        ),
    });
  }

  #sweep(): void {
    for (const [nodeId, { address, connection }] of this.#open) {
      if (addressOf(this.#nodes.get(nodeId)) === address) continue;
      connection.close();
      this.#open.delete(nodeId);
    }
  }
}

/** Deadline, cancellation and metadata of a call to a node. `generation` is that of the call's placement. */
export const forwarded = (ctx: CallContext, generation?: bigint): CallOptions => ({
  deadline: ctx.deadline,
  signal: ctx.signal,
  metadata: {
    [REQUEST_ID_KEY]: ctx.requestId,
    [GENERATION_KEY]: generation?.toString(),
    traceparent: ctx.trace.traceparent,
    tracestate: ctx.trace.tracestate,
  },
});

/** Converts the error of a failed call to a node for the client: a broken connection is NODE_UNAVAILABLE. */
export function nodeFailure(error: unknown, nodeId: string): unknown {
  if (!(error instanceof PaddockError) || error.reason !== "UNAVAILABLE") return error;
  const why = error.message.includes(NOT_AUTHENTICATED)
    ? "it and the api could not authenticate each other; the log of the api has the reason"
    : "its stream address does not answer";
  return unreachable(nodeId, why, error);
}

const unreachable = (nodeId: string, why: string, cause?: unknown): PaddockError =>
  new PaddockError("NODE_UNAVAILABLE", `node ${nodeId} cannot be reached: ${why}`, {
    hint: `check that the node daemon runs on ${nodeId}, and that its log refuses no connection of the api`,
    metadata: { node_id: nodeId },
    retryAfterMs: 1_000,
    cause,
  });

/** Why the api does not connect to the address in a heartbeat; undefined if it does. */
export function addressProblem(address: string, credentials: PeerCredentials["kind"]): string | undefined {
  const parsed = parseHostPort(address);
  if (parsed === undefined || parsed.port === 0)
    return `${JSON.stringify(address.slice(0, 100))}, its stream address, is not a host and port`;
  if (isWildcard(parsed.host))
    return `${address}, its stream address, is not that of a host: set PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS`;
  if (credentials === "secret" && !isLoopback(parsed.host))
    return `${address}, its stream address, is on another host, which needs certificates: set PADDOCK_STREAM_TLS_CERT_FILE`;
  return undefined;
}

/** Without a scheme grpc-js may mistake the host for one. */
const dialled = (address: string): string => `dns:${formatHostPort(parseHostPort(address) as HostPort)}`;

const addressOf = (record: NodeRecord | undefined): string | undefined =>
  record?.heartbeat.streamAddress || undefined;
