/**
 * One page of a list that is spread over nodes.
 *
 * Each node answers with its items after the same id, in order, and may return fewer than requested. The list is complete only up
 * to the smallest id at which a node stopped. Items after that id belong to the next page.
 */

/** The answer of one node. `more` means that it has items after its last one. */
export type NodePage<T> = { readonly items: readonly T[]; readonly more: boolean };

export type ItemRules<T> = {
  readonly idOf: (item: T) => string;
  /** Size of an item in the response, in bytes. */
  readonly bytesOf: (item: T) => number;
  /** Joins two items with the same id, such as an image on several nodes. Without it the first item is used. */
  readonly join?: (a: T, b: T) => T;
};

export type MergedPage<T> = {
  readonly items: T[];
  /** The id after which the next page begins; undefined on the last page. */
  readonly nextAfter: string | undefined;
};

/** gRPC clients accept messages of 4 MiB by default. A quarter is left for the rest of the message. */
const MAX_PAGE_BYTES = 3 * 1024 * 1024;

/** The items of one page, by id: at most `pageSize`, and at most as many as fit in a message, but at least one. */
export function mergePages<T>(
  pages: readonly NodePage<T>[],
  pageSize: number,
  { idOf, bytesOf, join = (a) => a }: ItemRules<T>,
): MergedPage<T> {
  const horizon = pages
    .filter(({ more }) => more)
    .map(({ items }) => items.at(-1))
    .map((last) => (last === undefined ? "" : idOf(last)))
    .reduce<string | undefined>((least, id) => (least === undefined || id < least ? id : least), undefined);
  const byId = new Map<string, T>();
  for (const item of pages.flatMap(({ items }) => items)) {
    const id = idOf(item);
    if (horizon !== undefined && id > horizon) continue;
    const known = byId.get(id);
    byId.set(id, known === undefined ? item : join(known, item));
  }
  const complete = [...byId.values()].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
  const items = complete.slice(0, fitting(complete.slice(0, pageSize).map(bytesOf)));
  const last = items.at(-1);
  const isLast = horizon === undefined && complete.length === items.length;
  return { items, nextAfter: isLast || last === undefined ? undefined : idOf(last) };
}

/** How many items fit in a message; at least one. */
function fitting(sizes: readonly number[]): number {
  let bytes = 0;
  const beyond = sizes.findIndex((size, index) => {
    bytes += size;
    return index > 0 && bytes > MAX_PAGE_BYTES;
  });
  return beyond === -1 ? sizes.length : beyond;
}
