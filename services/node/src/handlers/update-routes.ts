import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { requireNetwork } from "../lifecycle/update-network.ts";
import { updateRoutesOf } from "../lifecycle/update-routes.ts";
import { declareRoutes } from "../wire/declare-routes.ts";
import { guestCards } from "../wire/guest-network.ts";
import { declaredRoutes, shownRoute } from "../wire/guest-routes.ts";
import { locked, permits } from "./call.ts";

export const updateRoutes = command(
  SandboxService.method.updateRoutes,
  async (ctx, { sandboxId, routes }, call) =>
    await locked(ctx, sandboxId, call, async (entry) => {
      const { network } = requireNetwork(ctx, entry);
      permits(entry, "change_network");
      const declared = declareRoutes(routes, guestCards(entry.record, network));
      await updateRoutesOf({ node: ctx, entry }, declared, call.signal);
      return { routes: declaredRoutes(entry.record.network, network).map(shownRoute) };
    }),
);
