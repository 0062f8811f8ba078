/**
 * One page of a list that is spread over nodes.
 *
 * Each node answers with its items after the same id, in order, perhaps not all it was asked for. Only ids up to the smallest id at
 * which some node stopped short are complete; what lies beyond is left for the next page.
 */

/** What one node answered. `more` is whether it has items after its last one. */
export type NodePage<T> = { readonly items: readonly T[]; readonly more: boolean };

export type ItemRules<T> = {
  readonly idOf: (item: T) => string;
  /** Its size in an answer. */
  readonly bytesOf: (item: T) => number;
  /** One of two with the same id, such as an image on several nodes; the first unless said otherwise. */
  readonly join?: (a: T, b: T) => T;
};

export type MergedPage<T> = {
  readonly items: T[];
  /** The id after which the next page begins; undefined when this is the last. */
  readonly nextAfter: string | undefined;
};

/** Clients of gRPC take messages of 4 MiB unless they say otherwise; a quarter is left for what is around the items. */
const MAX_PAGE_BYTES = 3 * 1024 * 1024;

/**
 * At most `pageSize` items of all pages, by id, and no more than a client takes in one message, but one at least.
 */
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

/** How many of the first fit; one always does. */
function fitting(sizes: readonly number[]): number {
  let bytes = 0;
  const beyond = sizes.findIndex((size, index) => {
    bytes += size;
    return index > 0 && bytes > MAX_PAGE_BYTES;
  });
  return beyond === -1 ? sizes.length : beyond;
}
