import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";

const TIMEOUT_MS = 10_000;

/**
 * Makes the guest take down an interface, with its addresses and routes. `mac` is the MAC address of the card. Succeeds without
 * a VM, or if the guest has no such interface.
 */
export async function leaveGuest(entry: SandboxEntry, mac: string, signal: AbortSignal): Promise<void> {
  if (entry.vm === undefined) return;
  const { network } = await entry.agent.client({ signal, deadlineMs: TIMEOUT_MS });
  const options = { signal, timeoutMs: TIMEOUT_MS };
  const { interfaces } = await network.listInterfaces({}, options);
  if (!interfaces.some((each) => each.interface?.permanentMac === mac)) return;
  await network.removeInterface({ permanentMac: mac }, options);
}
