import { PaddockError } from "@paddock/domain";
import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { addInterfaceEntry } from "../lifecycle/add-interface.ts";
import { undoNoted } from "../lifecycle/operations.ts";
import { requireNetwork } from "../lifecycle/update-network.ts";
import type { InterfaceRecord } from "../record/network-record.ts";
import { declareInterface } from "../wire/declare-interface.ts";
import { shownInterfaces } from "../wire/network-status.ts";
import { locked, permits } from "./call.ts";

export const addInterface = command(
  SandboxService.method.addInterface,
  async (ctx, { sandboxId, interface: wanted }, call) => {
    if (wanted === undefined) throw new PaddockError("INVALID_FIELD", "interface must be set");
    const { interfaceId } = wanted;
    return await locked(ctx, sandboxId, call, async (entry) => {
      const network = requireNetwork(ctx, entry);
      const shown = () => ({
        interface: shownInterfaces(entry.record, network).find((each) => each.interfaceId === interfaceId),
      });
      const known = entry.record.network.interfaces.find((each) => each.interfaceId === interfaceId);
      if (known?.added?.requestId === call.requestId) return shown();
      permits(entry, "change_network");
      // An operation that an earlier call could not undo or finish may hold the id, the port or the address.
      await undoNoted(ctx, entry);
      const { name, port, mtu, ...asked } = declareInterface(wanted, entry.record.network, network.network);
      using lease = ctx.sandboxes.claimInterface(asked);
      const { index, mac } = lease;
      const added = { port, requestId: call.requestId, ...(mtu !== undefined && { mtu }) };
      const record: InterfaceRecord = { interfaceId, name, index, mac, added };
      await addInterfaceEntry({ node: ctx, entry, interface: record }, call.signal);
      return shown();
    });
  },
);
