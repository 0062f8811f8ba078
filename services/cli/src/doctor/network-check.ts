import { commandRunner, foreignRules, HostReader, NetworkError, type RunCommand } from "@paddock/network";
import { type HostCheck, missing, ok, warning } from "./host-check.ts";

/** Whether the rules of another program drop packets of sandboxes. The node changes only its own rules. */
export const networkCheck = (bridge: string, run: RunCommand = commandRunner()): HostCheck => ({
  name: "network",
  run: async () => {
    if (process.getuid?.() !== 0) return warning("not tried", "use sudo");
    try {
      const [first] = foreignRules(await new HostReader(run).allRules(), bridge);
      if (first === undefined) return ok("no rules of another program drop packets of sandboxes");
      const { family, table, chain, remedy } = first;
      return missing(`the rules of "${family} ${table} ${chain}" drop packets of sandboxes`, remedy);
    } catch (error) {
      if (error instanceof NetworkError && error.kind === "missing")
        return missing("nft is not installed", "apt-get install nftables");
      throw error;
    }
  },
});
