import { create } from "@bufbuild/protobuf";
import { PaddockError, planUpdate } from "@paddock/domain";
import {
  ContainerResourcesSchema,
  type UpdateContainerRequest,
  type UpdateContainerResponse,
} from "@paddock/protocol";
import { updateContainerEntry } from "../lifecycle/update-container.ts";
import { requireGrowth } from "../limits/require-growth.ts";
import type { NodeContext } from "../node-context.ts";
import { checkRecordSize, type RecordParts } from "../record/record-size.ts";
import { type ContainerRecord, type SandboxRecord, withContainer } from "../record/sandbox-record.ts";
import { outcomesOf } from "../wire/update-outcomes.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permitsContainer, requireContainer, shownContainer } from "./call.ts";

export async function updateContainer(
  ctx: NodeContext,
  { sandboxId, containerId, resources: update }: UpdateContainerRequest,
  call: Call,
): Promise<Answer<UpdateContainerResponse>> {
  if (update === undefined) throw new PaddockError("INVALID_FIELD", "resources must be set");
  return await locked(ctx, sandboxId, "UpdateContainer", call, async (entry) => {
    permitsContainer(entry, containerId, "update");
    const known = requireContainer(entry, containerId);
    const { limits, asked } = planUpdate(known.spec.resources ?? {}, update, ctx.hostCpus);
    const resources = create(ContainerResourcesSchema, {
      ...limits,
      hugepages: [...(limits.hugepages ?? [])],
    });
    const container = { ...known, spec: { ...known.spec, resources } };
    const { containers } = withContainer(entry.record, containerId, () => container);
    checkRecordSize(
      specsOf(entry.record.spec, containers),
      specsOf(entry.record.spec, entry.record.containers),
    );
    using _room = requireGrowth(ctx, entry.record, containers);
    const before = entry.applied;
    await updateContainerEntry({ node: ctx, entry, container }, call.signal);
    return {
      container: shownContainer(entry, containerId),
      outcomes: outcomesOf(asked, before, entry.applied),
    };
  });
}

const specsOf = (spec: SandboxRecord["spec"], containers: readonly ContainerRecord[]): RecordParts => ({
  spec,
  containers: containers.map((each) => each.spec),
});
