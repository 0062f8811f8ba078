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

const TIMEOUT_MS = 10_000;

/** Sets the guest's identity; returns the guest's description of itself. */
export async function configureGuest(
  { sandbox }: Pick<AgentClient, "sandbox">,
  { nowMs, network }: Pick<NodeContext, "nowMs" | "network">,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<agentpb.Guest | undefined> {
  const options = { signal, timeoutMs: TIMEOUT_MS };
  const { guest } = await sandbox.configureSandbox(identity(record, nowMs(), network), options);
  return guest;
}

function identity(
  record: SandboxRecord,
  nowMs: number,
  side: NodeSide | undefined,
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
    ...(side !== undefined &&
      record.network.interfaces.length > 0 && { network: guestNetwork(record, side) }),
  };
}
