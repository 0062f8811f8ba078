import { PaddockError, requireDiskSpace } from "@paddock/domain";
import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { requireImage } from "../containers/require-image.ts";
import { createContainerEntry, requireNewContainer } from "../lifecycle/create-container.ts";
import { newContainer } from "../lifecycle/create-sandbox.ts";
import { requireGrowth } from "../limits/require-growth.ts";
import { freePlace, takenPlaces, takenTargets } from "../record/container-place.ts";
import { hostSharesOf } from "../record/host-shares.ts";
import { checkRecordSize } from "../record/record-size.ts";
import { containerOf, withoutCreationOf } from "../record/sandbox-record.ts";
import { mountedVolumes, volumesToAdd } from "../record/sandbox-volumes.ts";
import { checkContainerSpec } from "../wire/guest-container.ts";
import { locked, permits, shownContainer } from "./call.ts";

export const createContainer = command(
  ContainerService.method.createContainer,
  async (ctx, { sandboxId, spec }, call) => {
    if (spec === undefined) throw new PaddockError("INVALID_FIELD", "spec must be set");
    return await locked(ctx, sandboxId, call, async (entry) => {
      const known = containerOf(entry.record, spec.containerId);
      if (known?.requestId === call.requestId) return { container: shownContainer(entry, spec.containerId) };
      permits(entry, "create_container");
      const image = requireImage(ctx, spec.image);
      using _pin = ctx.sandboxes.pinImage(image.id);
      requireNewContainer(entry, spec.containerId);
      const others = withoutCreationOf(entry.record, spec.containerId);
      const place = freePlace(takenPlaces(others), spec, takenTargets(others));
      const container = newContainer(spec, image, place, call.requestId, ctx);
      const containers = [...entry.record.containers, container];
      const volumes = volumesToAdd({ ...others, containers }, mountedVolumes(spec));
      using _volumes = ctx.volumes.claim(sandboxId, volumes);
      checkRecordSize({ ...entry.record, containers });
      using _room = requireGrowth(ctx, entry.record, containers);
      checkContainerSpec(spec, image.config, hostSharesOf(entry.record.spec));
      requireDiskSpace(await ctx.freeDiskBytes(), ctx.diskFloorBytes);
      await createContainerEntry({ node: ctx, entry, container, image, volumes }, call.signal);
      return { container: shownContainer(entry, spec.containerId) };
    });
  },
);
