import { PaddockError } from "@paddock/domain";
import type { CreateContainerRequest, CreateContainerResponse } from "@paddock/protocol";
import { freeIndex } from "../containers/container-disks.ts";
import { createContainerEntry, requireContainerFits } from "../containers/create-container-entry.ts";
import { checkContainerSpec } from "../containers/guest-container.ts";
import { requireImage } from "../containers/require-image.ts";
import { requireDiskSpace } from "../host/disk-space.ts";
import type { NodeContext } from "../node-context.ts";
import { newContainer } from "../sandboxes/create-sandbox-entry.ts";
import { checkRecordSize } from "../sandboxes/record-size.ts";
import { containerOf } from "../sandboxes/sandbox-record.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permits, shownContainer } from "./call.ts";

export async function createContainer(
  ctx: NodeContext,
  { sandboxId, spec }: CreateContainerRequest,
  call: Call,
): Promise<Answer<CreateContainerResponse>> {
  if (spec === undefined) throw new PaddockError("INVALID_FIELD", "spec must be set");
  return await locked(ctx, sandboxId, "CreateContainer", call, async (entry) => {
    const known = containerOf(entry.record, spec.containerId);
    if (known?.requestId === call.requestId) return { container: shownContainer(entry, spec.containerId) };
    permits(entry, "create_container");
    const image = requireImage(ctx, spec.image);
    using _pin = ctx.sandboxes.pinImage(image.id);
    const index = freeIndex(entry.record.containers);
    const container = newContainer(spec, image, index, call.requestId, ctx);
    const { spec: whole, containers } = entry.record;
    checkRecordSize({ spec: whole, containers: [...containers.map((each) => each.spec), spec] });
    using _room = requireContainerFits(ctx, entry, container);
    checkContainerSpec(spec, image.config);
    await requireDiskSpace(ctx);
    await createContainerEntry({ node: ctx, entry, container, image }, call.signal);
    return { container: shownContainer(entry, spec.containerId) };
  });
}
