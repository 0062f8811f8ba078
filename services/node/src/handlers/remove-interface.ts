import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { removeInterfaceEntry, requireRemovable } from "../lifecycle/remove-interface.ts";
import { requireNetwork } from "../lifecycle/update-network.ts";
import { locked, permits } from "./call.ts";

export const removeInterface = command(
  SandboxService.method.removeInterface,
  (ctx, { sandboxId, interfaceId }, call) =>
    locked(ctx, sandboxId, call, async (entry) => {
      requireNetwork(ctx, entry);
      permits(entry, "change_network");
      const work = { node: ctx, entry };
      await removeInterfaceEntry(work, requireRemovable(work, interfaceId), call);
      return {};
    }),
);
