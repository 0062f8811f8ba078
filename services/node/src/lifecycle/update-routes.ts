/** Replaces the routes of a sandbox whose VM runs: in the guest, then in the record. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Step } from "@paddock/lifecycle";
import type { agentpb } from "@paddock/protocol";
import type { RouteRecord } from "../record/network-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { readGuestNetwork } from "../watch/guest-network.ts";
import { guestCards } from "../wire/guest-network.ts";
import { declaredRoutes, guestRoutes, withKeptRoutes } from "../wire/guest-routes.ts";
import { operation, type Work } from "./operation.ts";

const TIMEOUT_MS = 10_000;

type RoutesUpdate = Work & {
  /** The new routes; undefined for an undo, which uses those of the record. */
  readonly routes: readonly RouteRecord[] | undefined;
};

export const ROUTES_STEPS: readonly Step<RoutesUpdate>[] = [
  {
    name: "guest-routes",
    run: ({ node, entry, routes = [] }, signal) => setRoutes({ node, entry }, routes, signal),
    undo: async ({ node, entry }, signal) => {
      if (node.network !== undefined && entry.vm !== undefined)
        await setRoutes({ node, entry }, declaredRoutes(entry.record.network, node.network.network), signal);
    },
  },
];

async function setRoutes(
  { node: { network }, entry }: Work,
  routes: readonly RouteRecord[],
  signal: AbortSignal,
): Promise<void> {
  if (network === undefined) throw new Error("the node has no network");
  const client = await agentOf(entry, signal);
  const { routes: reported } = await readGuestNetwork(client, entry.record, network, signal);
  const declared = guestRoutes(routes, guestCards(entry.record, network.network));
  const all = withKeptRoutes<MessageInitShape<typeof agentpb.RouteSchema>>(declared, reported.foreign);
  await client.network.updateRoutes({ routes: all }, { signal, timeoutMs: TIMEOUT_MS });
}

const agentOf = async (entry: SandboxEntry, signal: AbortSignal) =>
  await entry.agent.client({ signal, deadlineMs: TIMEOUT_MS });

export const routesUpdate = operation<RoutesUpdate>({
  name: "update-routes",
  steps: () => ROUTES_STEPS,
  recovered: (work, note) => (note.kind === "update-routes" ? { ...work, routes: undefined } : undefined),
});

/** Sets the routes in the guest and records them. On failure nothing changes. Needs the lock. */
export async function updateRoutesOf(
  work: Work,
  routes: readonly RouteRecord[],
  signal: AbortSignal,
): Promise<void> {
  await routesUpdate.run(
    { ...work, routes },
    {
      signal,
      note: { kind: "update-routes" },
      done: (record) => ({ ...record, network: { ...record.network, routes } }),
    },
  );
}
