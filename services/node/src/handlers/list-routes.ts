import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { declaredRoutes, shownRoute } from "../wire/guest-routes.ts";
import { netnsRoutes } from "../wire/netns-network.ts";
import { routeDrift } from "../wire/network-drift.ts";
import { reportedNetwork } from "./reported-network.ts";

export const listRoutes = command(SandboxService.method.listRoutes, async (ctx, { sandboxId }, call) => {
  const entry = ctx.sandboxes.require(sandboxId);
  const { network: side } = ctx;
  const { netns } = entry.record.network;
  if (netns !== undefined) return { routes: netnsRoutes(netns).map(shownRoute) };
  if (side === undefined || entry.record.network.interfaces.length === 0) return {};
  const reported = await reportedNetwork(ctx, entry, side, call);
  const { record } = entry;
  return {
    routes: declaredRoutes(record.network, side.network).map(shownRoute),
    guestAnswered: reported !== undefined,
    ...(reported !== undefined && {
      reported: reported.routes.own.map(shownRoute),
      drift: routeDrift(record, side, reported.routes.own),
    }),
  };
});
