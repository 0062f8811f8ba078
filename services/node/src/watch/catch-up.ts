import { resizeSoon } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { RunningVm } from "../vm/running-vm.ts";
import { configureGuest } from "./configure-guest.ts";
import { foreignRoutes } from "./guest-network.ts";

/** Time for the guest to set its clock. */
const CLOCK_PATIENCE_MS = 10_000;

/** After a pause, sets the guest's clock and adjusts the VM to its containers' limits. Never throws. */
export async function catchUp(ctx: NodeContext, entry: SandboxEntry, vm: RunningVm): Promise<void> {
  try {
    const client = await vm.link.client({ deadlineMs: CLOCK_PATIENCE_MS });
    const signal = AbortSignal.timeout(CLOCK_PATIENCE_MS);
    // The clock matters more than the routes of a tunnel.
    const kept = await foreignRoutes(client, ctx, entry.record, signal).catch(() => []);
    await configureGuest(client, ctx, entry.record, { signal, kept });
  } catch (error) {
    entry.log.warn({ err: error }, "a resumed guest did not set its clock");
  }
  if (entry.vm === vm) resizeSoon(ctx, entry, vm);
}
