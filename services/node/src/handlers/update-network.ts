import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { requireNetwork, updateNetworkOf } from "../lifecycle/update-network.ts";
import { networkStatus } from "../wire/network-status.ts";
import { locked } from "./call.ts";

export const updateNetwork = command(
  SandboxService.method.updateNetwork,
  async (ctx, { sandboxId, policy, bandwidth, publishedPorts }, call) =>
    await locked(ctx, sandboxId, call, async (entry) => {
      const network = requireNetwork(ctx, entry);
      await updateNetworkOf(ctx, entry, { policy, bandwidth, publishedPorts }, call.signal);
      return { network: networkStatus(entry.record, network) };
    }),
);
