import { ConfigError } from "@paddock/lifecycle";
import {
  type Command,
  commandRunner,
  HostReader,
  HostWriter,
  NetworkError,
  type NodeNetwork,
  planNetwork,
  type RunCommand,
} from "@paddock/network";
import type { NodeLog } from "../node-log.ts";
import { HostNetwork } from "./host-network.ts";
import { hostResolver } from "./resolvers.ts";

export type NetworkConfig = {
  readonly bridge: string;
  readonly v4: string;
  readonly v6: string | undefined;
};

/** How long the network stays up without a sandbox: a sandbox that is created soon after another one finds it up. */
const IDLE_MS = 30_000;

/** For a host without a default route. */
const DEFAULT_MTU = 1500;
/** The minimum of IPv6. */
const LEAST_MTU = 1280;

/**
 * Opens the network of the settings, without any change yet. Throws `ConfigError` for a range that is in use on this host, and
 * when a program is not installed.
 */
export async function openNetwork(
  settings: NetworkConfig,
  { stateDir, log }: { readonly stateDir: string; readonly log: NodeLog },
): Promise<HostNetwork> {
  const run = commandRunner();
  const reader = new HostReader(run);
  const [network, resolver] = await Promise.all([usableNetwork(settings, run, reader), hostResolver()]);
  return new HostNetwork({
    network,
    resolver,
    writer: new HostWriter(run),
    reader,
    stateDir,
    idleMs: IDLE_MS,
    onDownFailed: (error) =>
      log.error({ err: error }, "tearing the network down failed; the next start tries again"),
  });
}

/** The host's programs that are needed only when a sandbox is created. */
const PROGRAMS: readonly Command[] = [
  { program: "nft", args: ["--version"] },
  { program: "tc", args: ["-V"] },
  { program: "bridge", args: ["-V"] },
];

async function usableNetwork(
  settings: NetworkConfig,
  run: RunCommand,
  reader: HostReader,
): Promise<NodeNetwork> {
  try {
    const [ways, used] = await Promise.all([
      reader.waysOut(),
      reader.routedRanges(settings),
      ...PROGRAMS.map((each) => run(each)),
    ]);
    const mtu = Math.max(LEAST_MTU, ways[0]?.mtu ?? DEFAULT_MTU);
    return planNetwork({ ...settings, mtu, used });
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
    throw new ConfigError(
      `no network for the sandboxes of this node: ${error.message}; PADDOCK_NETWORK_IPV4 and PADDOCK_NETWORK_IPV6 choose other addresses, and PADDOCK_NETWORK=off starts the node without a network`,
    );
  }
}
