import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { type GuestNetwork, readGuestNetwork } from "../watch/guest-network.ts";
import type { NodeSide } from "../wire/guest-network.ts";
import { type Call, guestOf } from "./call.ts";

/** The network that the guest reports; undefined without a guest that answers. */
export async function reportedNetwork(
  { log }: Pick<NodeContext, "log">,
  entry: SandboxEntry,
  side: NodeSide,
  call: Call,
): Promise<GuestNetwork | undefined> {
  const { kind } = entry.record.phase;
  if ((kind !== "ready" && kind !== "running") || entry.held !== undefined) return undefined;
  try {
    return await readGuestNetwork(await guestOf(entry, call), entry.record, side, call.signal);
  } catch (error) {
    call.signal.throwIfAborted();
    log.debug({ sandbox: entry.sandboxId, err: error }, "reading the network of a guest failed");
    return undefined;
  }
}
