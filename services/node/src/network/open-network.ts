import { commandRunner, HostReader, HostWriter, planNetwork } from "@paddock/network";
import type { NodeLog } from "../node-log.ts";
import { HostNetwork } from "./host-network.ts";
import { hostResolver } from "./resolvers.ts";

export type NetworkConfig = {
  readonly bridge: string;
  readonly v4: string;
  readonly v6: string | undefined;
};

/** How long the network stays up without a sandbox: a sandbox that is created soon after another finds it up. */
const IDLE_MS = 30_000;

/** Of a host without a way out. */
const DEFAULT_MTU = 1500;
/** IPv6 needs it. */
const LEAST_MTU = 1280;

/** The network of the settings. Nothing is changed yet. Throws NetworkError for a range that is in use on this host. */
export async function openNetwork(
  settings: NetworkConfig,
  { stateDir, log }: { readonly stateDir: string; readonly log: NodeLog },
): Promise<HostNetwork> {
  const run = commandRunner();
  const reader = new HostReader(run);
  const [ways, used, resolver] = await Promise.all([
    reader.waysOut(),
    reader.routedRanges(settings),
    hostResolver(),
  ]);
  const mtu = Math.max(LEAST_MTU, ways[0]?.mtu ?? DEFAULT_MTU);
  const network = planNetwork({ ...settings, mtu, used });
  return new HostNetwork({
    network,
    resolver,
    writer: new HostWriter(run),
    reader,
    stateDir,
    idleMs: IDLE_MS,
    onDownFailed: (error) =>
      log.error({ err: error }, "the network could not be taken down; the next start tries again"),
  });
}
