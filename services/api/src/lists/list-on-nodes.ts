import type { DescMessage, DescMethodUnary, Message, MessageShape } from "@bufbuild/protobuf";
import type { NodeRecord } from "@paddock/bus";
import { afterIdOf, type CallContext, pageSizeOf, pageTokenAfter } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { noNode } from "../nodes/node-message.ts";
import { askEveryNode } from "./ask-every-node.ts";
import { type ItemRules, mergePages, type NodePage } from "./merge-pages.ts";

/** A list that is spread over nodes. */
export type NodeList<I extends DescMessage, O extends DescMessage, T> = ItemRules<T> & {
  readonly method: DescMethodUnary<I, O>;
  /** The page in a node's answer. */
  readonly pageOf: (answer: MessageShape<O>, nodeId: string) => NodePage<T>;
};

type ListRequest = Message & {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly nodeId?: string;
};

/**
 * One page of the items of all nodes, or of the node that the request names, by id. Nodes that do not answer are named and do not
 * fail the list. Throws NODE_NOT_FOUND, and the error of a node that answers with one.
 */
export async function listOnNodes<I extends DescMessage, O extends DescMessage, T>(
  api: ApiContext,
  ctx: CallContext,
  request: MessageShape<I> & ListRequest,
  { method, pageOf, ...rules }: NodeList<I, O, T>,
): Promise<ListPage<T> & { readonly unreachableNodes: string[] }> {
  await api.sight.seen(ctx);
  const wanted = wantedNode(api, request.nodeId);
  const body = nodeRequest(request);
  const { answers, refusals, unreachable } = await askEveryNode(api, ctx, { method, body }, wanted);
  if (refusals[0]) throw refusals[0].error;
  const pages = answers.map(({ nodeId, answer }) => pageOf(answer, nodeId));
  return { ...listPage(pages, request, rules), unreachableNodes: [...unreachable] };
}

/** The request in the form for a node: starting after an id, with the default size filled in. */
export const nodeRequest = <R extends ListRequest>(request: R): R => ({
  ...request,
  pageSize: pageSizeOf(request.pageSize),
  pageToken: afterIdOf(request.pageToken),
});

/** A page as the fields of a response. */
export type ListPage<T> = { readonly items: T[]; readonly nextPageToken: string };

/** The page that the request asks for, from the pages of the nodes. */
export function listPage<T>(
  pages: readonly NodePage<T>[],
  { pageSize }: ListRequest,
  rules: ItemRules<T>,
): ListPage<T> {
  const { items, nextAfter } = mergePages(pages, pageSizeOf(pageSize), rules);
  return { items, nextPageToken: nextAfter === undefined ? "" : pageTokenAfter(nextAfter) };
}

/** Selects the node with an id, or all nodes if the id is empty. Throws NODE_NOT_FOUND. */
export function wantedNode(api: ApiContext, nodeId = ""): (record: NodeRecord) => boolean {
  if (nodeId === "") return () => true;
  if (api.nodes.get(nodeId) !== undefined) return (record) => record.nodeId === nodeId;
  throw noNode(nodeId);
}
