import {
  type ListSandboxesRequest,
  type ListSandboxesResponse,
  type Sandbox,
  SandboxSchema,
} from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { sandboxStateOf } from "../wire/sandbox-status.ts";
import type { Answer } from "./answer.ts";
import { shownSandbox } from "./call.ts";
import { fillPage } from "./fill-page.ts";

/** A page by id; the token is the last id of the page before. */
export function listSandboxes(
  ctx: NodeContext,
  request: ListSandboxesRequest,
): Answer<ListSandboxesResponse> {
  const { pageSize, pageToken, labels, states } = request;
  const wanted = ctx.sandboxes
    .after(pageToken)
    .filter(({ record }) => states.length === 0 || states.includes(sandboxStateOf(record.phase.kind)))
    .filter(({ record }) =>
      Object.entries(labels).every(([key, value]) => record.spec.labels[key] === value),
    );
  const { items, hasNext } = fillPage(wanted, {
    schema: SandboxSchema,
    pageSize,
    shown: (entry) => shownSandbox(ctx, entry),
    reduced: withoutSpec,
  });
  const nextPageToken = hasNext ? (items.at(-1)?.sandboxId ?? "") : "";
  return { sandboxes: items, nextPageToken, unreachableNodes: [] };
}

/** Without what the client has sent: it makes all the difference in size. */
function withoutSpec({ spec: _, status, ...sandbox }: Sandbox): Sandbox {
  const containers = status?.containers.map((container) => ({ ...container, labels: {} })) ?? [];
  return { ...sandbox, ...(status && { status: { ...status, containers } }) };
}
