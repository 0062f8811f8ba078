import { create } from "@bufbuild/protobuf";
import { PaddockError, planUpdate } from "@paddock/domain";
import { ContainerResourcesSchema, ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { updateContainerEntry } from "../lifecycle/update-container.ts";
import { requireGrowth } from "../limits/require-growth.ts";
import { checkRecordSize } from "../record/record-size.ts";
import { withContainer } from "../record/sandbox-record.ts";
import { outcomesOf } from "../wire/update-outcomes.ts";
import { locked, permitsContainer, requireContainer, shownContainer } from "./call.ts";

export const updateContainer = command(
  ContainerService.method.updateContainer,
  async (ctx, { sandboxId, containerId, resources: update }, call) => {
    if (update === undefined) throw new PaddockError("INVALID_FIELD", "resources must be set");
    return await locked(ctx, sandboxId, call, async (entry) => {
      permitsContainer(entry, containerId, "update");
      const known = requireContainer(entry, containerId);
      const { limits, asked } = planUpdate(known.spec.resources ?? {}, update, ctx.hostCpus);
      const hugepages = [...(limits.hugepages ?? [])];
      const resources = create(ContainerResourcesSchema, { ...limits, hugepages });
      const container = { ...known, spec: { ...known.spec, resources } };
      const { containers } = withContainer(entry.record, containerId, () => container);
      checkRecordSize({ ...entry.record, containers }, entry.record);
      using _room = requireGrowth(ctx, entry.record, containers);
      const before = entry.applied;
      await updateContainerEntry({ node: ctx, entry, container }, call.signal);
      const outcomes = outcomesOf(asked, before, entry.applied);
      return { container: shownContainer(entry, containerId), outcomes };
    });
  },
);
