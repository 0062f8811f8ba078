import { PaddockError } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { requireUnshared } from "../record/device-place.ts";
import type { HostSource } from "../record/device-record.ts";
import { distinctDisks } from "../record/sandbox-devices.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";

/**
 * Looks at the sources of a stopped sandbox's devices again: a path may have another device or size than at the last boot. Throws,
 * with the device's id, when a source is gone or in use: a sandbox does not start without the data that it had.
 */
export async function renewDevices(ctx: NodeContext, entry: SandboxEntry): Promise<void> {
  const found = new Map<number, HostSource>();
  for (const { deviceId, source, target } of distinctDisks(entry.record.devices))
    found.set(
      target,
      await ctx.disks.inspect(source).catch((error: unknown) => Promise.reject(named(deviceId, error))),
    );
  if (found.size === 0) return;
  for (const source of found.values()) requireUnshared(source, othersThan(ctx, entry));
  entry.update((record) => ({
    ...record,
    devices: record.devices.map((each) => ({ ...each, source: found.get(each.target) ?? each.source })),
  }));
}

/** The records of the node's other sandboxes. */
export const othersThan = ({ sandboxes }: NodeContext, { sandboxId }: Pick<SandboxEntry, "sandboxId">) =>
  sandboxes
    .list()
    .filter((each) => each.sandboxId !== sandboxId)
    .map(({ record }) => record);

const named = (deviceId: string, error: unknown): unknown =>
  error instanceof PaddockError
    ? new PaddockError(error.reason, `device ${deviceId}: ${error.message}`, {
        hint: `make it available again, or remove device ${deviceId} from the stopped sandbox`,
        cause: error,
      })
    : error;
