import { type Sandbox, SandboxSchema, SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { sandboxStateOf } from "../wire/sandbox-status.ts";
import { shownSandbox } from "./call.ts";
import { fillPage, hasLabels } from "./fill-page.ts";

/** A page in order of id. The token is the last id of the previous page. */
export const listSandboxes = command(SandboxService.method.listSandboxes, (ctx, request) => {
  const { pageSize, pageToken, labels, states } = request;
  const wanted = ctx.sandboxes
    .after(pageToken)
    .filter(({ record }) => states.length === 0 || states.includes(sandboxStateOf(record.phase.kind)))
    .filter(({ record }) => hasLabels(record.spec, labels));
  const { items, nextPageToken } = fillPage(wanted, {
    schema: SandboxSchema,
    pageSize,
    shown: (entry) => shownSandbox(ctx, entry),
    reduced: withoutSpec,
    tokenOf: ({ sandboxId }) => sandboxId,
  });
  return { sandboxes: items, nextPageToken };
});

/** Without the parts that the client has sent, which are nearly all of its size. */
function withoutSpec({ spec: _, status, ...sandbox }: Sandbox): Sandbox {
  const containers = status?.containers.map((container) => ({ ...container, labels: {} })) ?? [];
  return { ...sandbox, ...(status && { status: { ...status, containers } }) };
}
