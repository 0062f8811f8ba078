/**
 * The identity of a guest: fresh entropy, the host's time, hostname, name resolution, network. It is set at boot, before any
 * tenant's code runs, and again after a pause, because the clock of a paused guest stops.
 */
import { randomBytes } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { agentpb } from "@paddock/protocol";
import type { AgentClient } from "../agent/connect-agent.ts";
import type { NodeContext } from "../node-context.ts";
import { guestHostname } from "../record/guest-hostname.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { guestDns, guestHosts, guestNetwork, type NodeSide } from "../wire/guest-network.ts";
import { withKeptRoutes } from "../wire/guest-routes.ts";
import { netnsConfig } from "../wire/netns-network.ts";

/** Longer than the guest waits for a newly plugged card. */
const TIMEOUT_MS = 20_000;

type ConfigureOptions = {
  readonly signal: AbortSignal;
  /** Routes of programs in the guest, which are kept. */
  readonly kept?: readonly agentpb.Route[];
};

/** Sets the guest's identity; returns the guest's description of itself. */
export async function configureGuest(
  { sandbox }: Pick<AgentClient, "sandbox">,
  { nowMs, network }: Pick<NodeContext, "nowMs" | "network">,
  record: SandboxRecord,
  { signal, kept = [] }: ConfigureOptions,
): Promise<agentpb.Guest | undefined> {
  const options = { signal, timeoutMs: TIMEOUT_MS };
  const request = identity(record, { nowMs: nowMs(), side: network, kept });
  const { guest } = await sandbox.configureSandbox(request, options);
  return guest;
}

type Circumstances = {
  readonly nowMs: number;
  readonly side: NodeSide | undefined;
  readonly kept: readonly agentpb.Route[];
};

function identity(
  record: SandboxRecord,
  { nowMs, side, kept }: Circumstances,
): MessageInitShape<typeof agentpb.ConfigureSandboxRequestSchema> {
  const { sandboxId, spec } = record;
  return {
    entropy: randomBytes(256),
    time: timestampFromMs(nowMs),
    hostname: spec.hostname || guestHostname(sandboxId),
    dns: guestDns(record, side),
    sandboxId,
    shmSizeBytes: spec.shmSizeBytes,
    sharePidNamespace: spec.sharePidNamespace,
    extraHosts: guestHosts(spec),
    ...networkOf(record, side, kept),
  };
}

function networkOf(
  record: SandboxRecord,
  side: NodeSide | undefined,
  kept: readonly agentpb.Route[],
): { network?: MessageInitShape<typeof agentpb.NetworkConfigSchema> } {
  const { netns, interfaces } = record.network;
  if (netns !== undefined) return { network: withRoutes(netnsConfig(netns), kept) };
  if (side === undefined || interfaces.length === 0) return {};
  return { network: withRoutes(guestNetwork(record, side), kept) };
}

const withRoutes = (config: agentpb.NetworkConfig, kept: readonly agentpb.Route[]) => ({
  ...config,
  routes: withKeptRoutes(config.routes, kept),
});
