import { clone, create } from "@bufbuild/protobuf";
import { invalidField } from "@paddock/domain";
import {
  type Bandwidth,
  type NetworkPolicy,
  NetworkSpecSchema,
  type SandboxSpec,
  SandboxSpecSchema,
} from "@paddock/protocol";
import type { NetworkOfHost, NodeContext } from "../node-context.ts";
import { checkRecordSize } from "../record/record-size.ts";
import { machineOf, type SandboxRecord } from "../record/sandbox-record.ts";
import { connectionsOf } from "../resources/release-sandbox.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";

/** The network that the sandbox is on. Throws INVALID_FIELD for a sandbox that is on none. */
export function requireNetwork({ network }: NodeContext, { record, sandboxId }: SandboxEntry): NetworkOfHost {
  if (network !== undefined && record.network.interfaces.length > 0) return network;
  throw invalidField("sandbox_id", `sandbox ${sandboxId} has no network`);
}

/** What is to change; undefined leaves it as it is. */
export type NetworkChange = {
  readonly policy: NetworkPolicy | undefined;
  readonly bandwidth: Bandwidth | undefined;
};

/**
 * Changes the policy and the rates. The record comes first: a daemon that dies in between writes the rules of the record at its next
 * start. If the host refuses the change, the record is as it was. Needs the lock.
 */
export async function updateNetworkOf(
  ctx: NodeContext,
  entry: SandboxEntry,
  change: NetworkChange,
  signal: AbortSignal,
): Promise<void> {
  const { record: before } = entry;
  const spec = changedSpec(before, change);
  const wanted = { ...before, spec };
  // Throws for a policy that cannot be.
  const after = connectionsOf(ctx, wanted);
  checkRecordSize(wanted, before);
  entry.update((record) => ({ ...record, spec }));
  if (machineOf(before) === undefined) return;
  try {
    for (const [at, connection] of connectionsOf(ctx, before).entries()) {
      const next = after[at];
      if (next !== undefined) await ctx.network?.change(connection, next, signal);
    }
  } catch (error) {
    entry.update((record) => ({ ...record, spec: before.spec }));
    throw error;
  }
}

function changedSpec({ spec }: SandboxRecord, { policy, bandwidth }: NetworkChange): SandboxSpec {
  const changed = clone(SandboxSpecSchema, spec);
  const network = changed.network ?? create(NetworkSpecSchema);
  if (policy !== undefined) network.policy = policy;
  if (bandwidth !== undefined) network.bandwidth = bandwidth;
  changed.network = network;
  return changed;
}
