import type { NodeContext } from "../node-context.ts";
import { hostName } from "../record/sandbox-paths.ts";
import { sweepStrays } from "../resources/walks.ts";

const TIMEOUT_MS = 30_000;

/** Releases host resources without a record, only of this state directory. Resources of an unreadable record are kept too. */
export async function sweep(ctx: NodeContext): Promise<number> {
  const { sandboxes, log } = ctx;
  const owned = new Set<string>([
    ...sandboxes.list().flatMap(({ sandboxId, record }) => [hostName(sandboxId), record.vm.id]),
    ...sandboxes.corruptIds.flatMap((sandboxId) => [
      hostName(sandboxId),
      sandboxes.corruptVm(sandboxId) ?? "",
    ]),
  ]);
  return await sweepStrays(ctx.resources, ctx, owned, {
    timeoutMs: TIMEOUT_MS,
    onSwept: (resource, name) => log.warn({ resource, name }, "swept a resource that no sandbox owns"),
    onFailed: (resource, name, error) =>
      log.error({ resource, name, err: error }, "sweeping a resource that no sandbox owns failed"),
  });
}
