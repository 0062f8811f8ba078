import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { formatAddress, guestInterface } from "@paddock/network";
import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { requireNetwork } from "../lifecycle/update-network.ts";

const MOST = 1000;

export const listRefusedPackets = command(
  SandboxService.method.listRefusedPackets,
  async (ctx, { sandboxId }, { signal }) => {
    const entry = ctx.sandboxes.require(sandboxId);
    const { network, createdAtMs } = entry.record;
    const host = requireNetwork(ctx, entry);
    const guests = network.interfaces.map(({ index }) => guestInterface(host.network, index));
    const { packets, refused, forged } = await host.refused(guests, signal);
    const now = ctx.nowMs();
    return {
      packets: packets
        .map(({ secondsAgo, from, to, port = 0, ...packet }) => ({
          atMs: now - secondsAgo * 1000,
          packet: {
            protocol: packet.protocol,
            packets: BigInt(packet.packets),
            source: formatAddress(from),
            destination: formatAddress(to),
            port,
          },
        }))
        // Older packets belong to an earlier owner of the address.
        .filter(({ atMs }) => atMs >= createdAtMs)
        .slice(0, MOST)
        .map(({ atMs, packet }) => ({ ...packet, time: timestampFromMs(atMs) })),
      refusedPackets: BigInt(refused),
      forgedPackets: BigInt(forged),
    };
  },
);
