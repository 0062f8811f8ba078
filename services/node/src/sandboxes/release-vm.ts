import type { Machine } from "../machine/machine-port.ts";
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "./sandbox-entry.ts";

const TIMEOUT_MS = 15_000;

/**
 * Gives back everything of the host that a VM had: its process, its cgroup, its sockets; the sandbox's directory stays.
 * Logs are finished first. Idempotent; needs no guest and no record of the process.
 */
export async function releaseVm(ctx: NodeContext, entry: SandboxEntry, machine?: Machine): Promise<void> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  if (machine !== undefined) await machine.kill(signal);
  await ctx.machines.killStrays(entry.paths, signal);
  await Promise.all(
    entry.record.containers.map(({ containerId }) => ctx.logs.stop(entry.sandboxId, containerId)),
  );
  await ctx.cgroups.remove(entry.paths.name, signal);
}
