import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { interfaceDrift, reportedInterfaces } from "../wire/network-drift.ts";
import { netnsInterfaces, shownInterfaces } from "../wire/network-status.ts";
import { reportedNetwork } from "./reported-network.ts";

export const listInterfaces = command(
  SandboxService.method.listInterfaces,
  async (ctx, { sandboxId }, call) => {
    const entry = ctx.sandboxes.require(sandboxId);
    const { network: side } = ctx;
    const { netns } = entry.record.network;
    if (netns !== undefined) return { interfaces: netnsInterfaces(netns) };
    if (side === undefined || entry.record.network.interfaces.length === 0) return {};
    const reported = await reportedNetwork(ctx, entry, side, call);
    const { record } = entry;
    return {
      interfaces: shownInterfaces(record, side),
      guestAnswered: reported !== undefined,
      ...(reported !== undefined && {
        reported: reportedInterfaces(record, side, reported.interfaces),
        drift: interfaceDrift(record, side, reported.interfaces),
      }),
    };
  },
);
