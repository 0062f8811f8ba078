/**
 * Rebuilds the registry from the nodes.
 *
 * The nodes know which sandboxes exist; JetStream may lose its last minute, or everything. So the sandboxes of a node are listed
 * when the node appears, when its daemon has restarted, when it counts more sandboxes than are placed on it, and when the
 * registry is a new one. Sandboxes that the registry lacks, or has with an earlier generation, are claimed for the node. A claim
 * is a compare-and-set: it never takes an id from another node, and several apis can do this at the same time. The request that
 * created the sandbox is unknown here and stays empty; `placeSandbox` lets the node decide about a repeated request.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { NodeRecord } from "@paddock/bus";
import {
  ListSandboxesRequestSchema,
  nodepb,
  type Sandbox,
  SandboxService,
  SandboxState,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { askNode } from "../nodes/ask-node.ts";
import type { PlacementContext } from "./placement-context.ts";

/** Request id of these lists in the nodes' logs. */
export const REBUILD_REQUEST_ID = "rebuild-registry";

const LIST = SandboxService.method.listSandboxes;
const PAGE_SIZE = 200;
/** Time for one page. */
const PAGE_DEADLINE_MS = 10_000;
/** In any other state, the call that creates or deletes the sandbox owns its claim. */
const SETTLED: ReadonlySet<SandboxState | undefined> = new Set([
  SandboxState.READY,
  SandboxState.RUNNING,
  SandboxState.PAUSED,
  SandboxState.STOPPED,
]);

/** Watches the heartbeats and claims the sandboxes that the registry lacks, until `signal` aborts. */
export function rebuildRegistry(api: PlacementContext, signal: AbortSignal): void {
  const underWay = new Set<string>();
  const failed = new Map<string, string>();
  const compare = async (record: NodeRecord): Promise<void> => {
    const { nodeId } = record;
    underWay.add(nodeId);
    try {
      await claimLacking(api, record, signal);
      failed.delete(nodeId);
    } catch (error) {
      // The next heartbeat retries.
      failed.set(nodeId, instanceOf(record));
      api.log.debug({ nodeId, err: error }, "cannot compare the sandboxes of a node with the registry");
    } finally {
      underWay.delete(nodeId);
    }
    api.sight.compared(record);
    // The daemon may have restarted in the meantime, and its heartbeat was ignored.
    const now = api.nodes.get(nodeId);
    if (now?.liveness === "up" && instanceOf(now) !== instanceOf(record)) await compare(now);
  };
  const look = () => {
    // Before that, a lost placement looks like one that is not read yet.
    if (!api.nodes.isFilled || !api.placements.isFilled) return;
    for (const record of api.nodes.all()) {
      const { nodeId, heartbeat } = record;
      const hasMore = (heartbeat.node?.sandboxes ?? 0) > api.placements.countOn(nodeId);
      const isNew = !api.sight.isCompared(record) || failed.get(nodeId) === instanceOf(record);
      if (record.liveness === "up" && (isNew || hasMore) && !underWay.has(nodeId)) void compare(record);
    }
  };
  const stops = [api.nodes.onChange(look), api.placements.onChange(look)];
  signal.addEventListener(
    "abort",
    () => {
      for (const stop of stops) stop();
    },
    { once: true },
  );
  look();
}

const instanceOf = ({ heartbeat }: NodeRecord): string => heartbeat.daemonInstanceId;

async function claimLacking(
  api: PlacementContext,
  { nodeId }: NodeRecord,
  signal: AbortSignal,
): Promise<void> {
  let pageToken = "";
  let claimed = 0;
  do {
    const body = create(ListSandboxesRequestSchema, { pageSize: PAGE_SIZE, pageToken });
    const page = await askNode(api, ownCall(api, signal), { nodeId, method: LIST, body });
    for (const sandbox of page.sandboxes) {
      if (await claimOne(api, nodeId, sandbox)) claimed++;
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  if (claimed > 0) api.log.warn({ nodeId, claimed }, "claimed sandboxes of a node that the registry lacked");
}

async function claimOne(api: PlacementContext, nodeId: string, sandbox: Sandbox): Promise<boolean> {
  if (!SETTLED.has(sandbox.status?.state)) return false;
  const { sandboxId, generation } = sandbox;
  const known = await api.placements.lookup(sandboxId);
  if (known !== undefined && known.placement.generation >= generation) return false;
  const placement = create(nodepb.PlacementSchema, {
    sandboxId,
    nodeId,
    generation,
    claimedAt: timestampFromMs(api.now()),
  });
  if (known === undefined) return (await api.placements.claim(placement)).kind === "claimed";
  // The registry lost a later placement. The node refuses commands with the earlier generation.
  const request = known.placement.nodeId === nodeId ? known.placement : placement;
  const { requestId, requestDigest } = request;
  return (
    (await api.placements.move({ ...placement, requestId, requestDigest }, known.revision)) !== undefined
  );
}

/** Context of a call that the api itself makes. */
const ownCall = (api: PlacementContext, signal: AbortSignal): CallContext => ({
  method: LIST,
  signal,
  deadline: new Date(api.now() + PAGE_DEADLINE_MS),
  requestId: REBUILD_REQUEST_ID,
  metadata: () => undefined,
  trace: {},
  peer: "",
});
