import type { NodeContext } from "../node-context.ts";
import { hostName } from "../record/sandbox-paths.ts";
import { sweepStrays } from "../resources/walks.ts";

const TIMEOUT_MS = 30_000;

/** Releases what no record owns: of this state directory alone. What a record owns that cannot be read is left alone too. */
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
    onSwept: (resource, name) => log.warn({ resource, name }, "swept what no sandbox owns"),
    onFailed: (resource, name, error) =>
      log.error({ resource, name, err: error }, "a stray could not be swept"),
  });
}
