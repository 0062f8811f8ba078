import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";

const TIMEOUT_MS = 10_000;

/**
 * Asks the guest to take an interface down, with its addresses and routes. `mac` is the MAC address of the card. Succeeds if there is no VM,
 * or no such interface in the guest.
 */
export async function leaveGuest(entry: SandboxEntry, mac: string, signal: AbortSignal): Promise<void> {
  if (entry.vm === undefined) return;
  const { network } = await entry.agent.client({ signal, deadlineMs: TIMEOUT_MS });
  const options = { signal, timeoutMs: TIMEOUT_MS };
  const { interfaces } = await network.listInterfaces({}, options);
  if (!interfaces.some((each) => each.interface?.permanentMac === mac)) return;
  await network.removeInterface({ permanentMac: mac }, options);
}
