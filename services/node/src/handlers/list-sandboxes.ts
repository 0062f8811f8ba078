import type { ListSandboxesRequest, ListSandboxesResponse, Sandbox, SandboxSpec } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { sandboxStateOf } from "../sandboxes/sandbox-status.ts";
import type { Answer } from "./answer.ts";
import { shownSandbox } from "./call.ts";

const DEFAULT_PAGE_SIZE = 100;
/** A page stays below this, as the bus carries no more than 1 MiB at once. */
const MAX_PAGE_BYTES = 768 * 1024;

/** A page by id; the token is the last id of the page before. */
export function listSandboxes(
  ctx: NodeContext,
  request: ListSandboxesRequest,
): Answer<ListSandboxesResponse> {
  const { pageSize, pageToken, labels, states } = request;
  const wanted = ctx.sandboxes
    .list()
    .filter(({ sandboxId }) => sandboxId > pageToken)
    .filter(({ record }) => states.length === 0 || states.includes(sandboxStateOf(record.phase.kind)))
    .filter(({ record }) =>
      Object.entries(labels).every(([key, value]) => record.spec.labels[key] === value),
    );
  const page: Sandbox[] = [];
  let bytes = 0;
  for (const entry of wanted) {
    bytes += approximateBytes(entry.record.spec);
    if (page.length >= (pageSize || DEFAULT_PAGE_SIZE) || (page.length > 0 && bytes > MAX_PAGE_BYTES)) break;
    page.push(shownSandbox(ctx, entry));
  }
  const more = page.length < wanted.length;
  return { sandboxes: page, nextPageToken: more ? (page.at(-1)?.sandboxId ?? "") : "", unreachableNodes: [] };
}

/** Without encoding: files given by content are what makes a spec large. */
function approximateBytes({ containers }: SandboxSpec): number {
  let bytes = 4096;
  for (const { mounts } of containers)
    for (const { source } of mounts)
      bytes += 256 + (source.case === "file" ? source.value.content.length : 0);
  return bytes;
}
