import { PaddockError } from "@paddock/domain";
import type { CreateContainerRequest, CreateContainerResponse } from "@paddock/protocol";
import { requireImage } from "../containers/require-image.ts";
import { requireDiskSpace } from "../host/disk-space.ts";
import { createContainerEntry, requireNewContainer } from "../lifecycle/create-container.ts";
import { newContainer } from "../lifecycle/create-sandbox.ts";
import { requireGrowth } from "../limits/require-growth.ts";
import type { NodeContext } from "../node-context.ts";
import { freePlace, takenPlaces } from "../record/container-place.ts";
import { checkRecordSize } from "../record/record-size.ts";
import { containerOf } from "../record/sandbox-record.ts";
import { checkContainerSpec } from "../wire/guest-container.ts";
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
    requireNewContainer(entry, spec.containerId);
    const place = freePlace(takenPlaces(entry.record, spec.containerId), spec);
    const container = newContainer(spec, image, place, call.requestId, ctx);
    const { spec: whole, containers } = entry.record;
    checkRecordSize({ spec: whole, containers: [...containers.map((each) => each.spec), spec] });
    using _room = requireGrowth(ctx, entry.record, [...containers, container]);
    checkContainerSpec(spec, image.config);
    await requireDiskSpace(ctx);
    await createContainerEntry({ node: ctx, entry, container, image }, call.signal);
    return { container: shownContainer(entry, spec.containerId) };
  });
}
