import type { ImageRecord } from "@paddock/images";
import { requireImageOfId } from "../containers/require-image.ts";
import { startContainer } from "../containers/start-container.ts";
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { interfaceSlots } from "../wire/network-spec.ts";
import { boot, followLogs, ready } from "./boot.ts";
import { networkInNamespace } from "./caller-namespace.ts";
import { undoNoted } from "./operations.ts";
import { renewDevices } from "./renew-devices.ts";
import { bootOf } from "./steps/boot-context.ts";

/** Boots the sandbox if it is `stopped`, starts its `ready` containers, and leaves it `running`. Needs the lock. */
export async function startSandboxEntry(
  ctx: NodeContext,
  entry: SandboxEntry,
  signal: AbortSignal,
): Promise<void> {
  if (entry.record.phase.kind === "stopped") {
    // Operations that could not be undone or finished earlier: without a VM they need no guest.
    await undoNoted(ctx, entry);
    await bootAgain(ctx, entry, signal);
  }
  for (const { containerId, phase } of entry.record.containers)
    if (phase.kind === "ready") await startContainer(entry, containerId, ctx.nowMs, signal);
  const startedAtMs = ctx.nowMs();
  entry.update((record) =>
    record.phase.kind === "ready"
      ? { ...record, phase: { kind: "running", machine: record.phase.machine, startedAtMs } }
      : record,
  );
}

async function bootAgain(ctx: NodeContext, entry: SandboxEntry, signal: AbortSignal): Promise<void> {
  const images = new Map<string, ImageRecord>();
  for (const { imageId } of entry.record.containers)
    if (!images.has(imageId)) images.set(imageId, requireImageOfId(ctx, imageId));
  await readNamespaceAgain(ctx, entry, signal);
  await renewDevices(ctx, entry);
  const context = bootOf(ctx, entry, images);
  await boot.run(context, { signal, done: (record) => ready(record, context) });
  followLogs(context);
}

/** The name may belong to another namespace than at the last boot. */
async function readNamespaceAgain(ctx: NodeContext, entry: SandboxEntry, signal: AbortSignal): Promise<void> {
  const { network, spec } = entry.record;
  if (network.netns === undefined) return;
  const { name } = network.netns;
  const now = await networkInNamespace(ctx, { name, slots: interfaceSlots(spec.network) }, signal);
  entry.update((record) => ({ ...record, network: now }));
}
