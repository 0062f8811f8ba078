import { invalidField } from "@paddock/domain";
import { SandboxService, type UpdateNetworkRequest } from "@paddock/protocol";
import { command } from "../command.ts";
import { rescanNamespace } from "../lifecycle/caller-namespace.ts";
import { requireNetwork, updateNetworkOf } from "../lifecycle/update-network.ts";
import type { NodeContext } from "../node-context.ts";
import type { NetnsRecord } from "../record/network-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { netnsStatus, networkStatus } from "../wire/network-status.ts";
import { type Call, locked } from "./call.ts";

export const updateNetwork = command(SandboxService.method.updateNetwork, async (ctx, request, call) => {
  const { sandboxId, policy, bandwidth, publishedPorts, peers, rescan } = request;
  return await locked(ctx, sandboxId, call, async (entry) => {
    const { netns } = entry.record.network;
    if (netns !== undefined) return await updateInNamespace(ctx, entry, { netns, request, call });
    const network = requireNetwork(ctx, entry);
    if (rescan)
      throw invalidField("rescan", `sandbox ${sandboxId} is not in a network namespace of its node`);
    await updateNetworkOf(ctx, entry, { policy, bandwidth, publishedPorts, peers }, call.signal);
    return { network: networkStatus(entry.record, network) };
  });
});

type NamespaceUpdate = {
  readonly netns: NetnsRecord;
  readonly request: UpdateNetworkRequest;
  readonly call: Call;
};

async function updateInNamespace(
  ctx: NodeContext,
  entry: SandboxEntry,
  { netns, request, call }: NamespaceUpdate,
) {
  for (const field of ["policy", "bandwidth", "publishedPorts", "peers"] as const)
    if (request[field] !== undefined)
      throw invalidField(field, "is up to the owner of the network namespace");
  if (request.rescan) await rescanNamespace(ctx, entry, netns, call.signal);
  return { network: netnsStatus(entry.record, entry.record.network.netns ?? netns, ctx.network) };
}
