import { PaddockError } from "@paddock/domain";
import { NetworkMode, type NetworkSpec } from "@paddock/protocol";

/** Throws NOT_IMPLEMENTED for a spec that needs a network, because nodes have none yet. */
export function checkNetworkSpec(network: NetworkSpec | undefined): void {
  if (network === undefined) return;
  const { mode, policy, publishedPorts, extraHosts, bandwidth } = network;
  const isPlain =
    policy === undefined && bandwidth === undefined && publishedPorts.length === 0 && extraHosts.length === 0;
  if (isPlain && mode !== NetworkMode.DEFAULT) return;
  throw new PaddockError("NOT_IMPLEMENTED", "the sandbox cannot have a network: this node offers none");
}
