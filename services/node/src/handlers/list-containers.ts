import {
  type Container,
  ContainerSchema,
  ContainerService,
  type ListContainersRequest,
} from "@paddock/protocol";
import { containerKey } from "@paddock/rpc";
import { command } from "../command.ts";
import type { NodeContext } from "../node-context.ts";
import type { ContainerRecord, SandboxRecord } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { containerOfRecord, containerStateOf } from "../wire/sandbox-status.ts";
import { fillPage, hasLabels } from "./fill-page.ts";

/** A page in order of sandbox and container. The token is the key of the previous page's last container. */
export const listContainers = command(ContainerService.method.listContainers, (ctx, request) => {
  const { items, nextPageToken } = fillPage(wantedContainers(ctx, request), {
    schema: ContainerSchema,
    pageSize: request.pageSize,
    shown: ({ record, container }) => containerOfRecord(record, container, ctx.nodeId),
    reduced: withoutSpec,
    tokenOf: containerKey,
  });
  return { containers: items, nextPageToken };
});

type Found = { readonly record: SandboxRecord; readonly container: ContainerRecord };

function* wantedContainers(ctx: NodeContext, request: ListContainersRequest): Generator<Found> {
  const { pageToken, sandboxId } = request;
  const entries = sandboxId === "" ? entriesFrom(ctx, pageToken) : [ctx.sandboxes.require(sandboxId)];
  for (const { record } of entries) {
    for (const container of record.containers.toSorted(byId)) {
      const key = containerKey({ sandboxId: record.sandboxId, containerId: container.containerId });
      if (key > pageToken && isWanted(container, request)) yield { record, container };
    }
  }
}

/** The sandbox that a container's key names, if it still exists, and the sandboxes after it. */
function* entriesFrom({ sandboxes }: NodeContext, key: string): Generator<SandboxEntry> {
  const [sandboxId = ""] = key.split(" ");
  const named = sandboxes.find(sandboxId);
  if (named !== undefined) yield named;
  yield* sandboxes.after(sandboxId);
}

const byId = (a: ContainerRecord, b: ContainerRecord): number => (a.containerId < b.containerId ? -1 : 1);

const isWanted = ({ phase, spec }: ContainerRecord, { states, labels }: ListContainersRequest): boolean =>
  (states.length === 0 || states.includes(containerStateOf(phase.kind))) && hasLabels(spec, labels);

/** Without the parts that the client has sent, which are nearly all of its size. */
function withoutSpec({ spec: _, status, ...container }: Container): Container {
  return { ...container, ...(status && { status: { ...status, labels: {} } }) };
}
