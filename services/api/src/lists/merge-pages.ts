/**
 * One page of a list that is spread over nodes.
 *
 * Each node answers with its items after the same id, in order, perhaps not all it was asked for. Only ids up to the smallest id at
 * which some node stopped short are complete; what lies beyond is left for the next page.
 */

/** What one node answered. `more` is whether it has items after its last one. */
export type NodePage<T> = { readonly items: readonly T[]; readonly more: boolean };

export type MergedPage<T> = {
  readonly items: T[];
  /** The id after which the next page begins; undefined when this is the last. */
  readonly nextAfter: string | undefined;
};

/**
 * At most `pageSize` items of all pages, by id. Items with the same id (an image on several nodes) are joined by `join`.
 */
export function mergePages<T>(
  pages: readonly NodePage<T>[],
  pageSize: number,
  idOf: (item: T) => string,
  join: (a: T, b: T) => T = (a) => a,
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
  const items = complete.slice(0, pageSize);
  const last = items.at(-1);
  const isLast = horizon === undefined && complete.length <= pageSize;
  return { items, nextAfter: isLast || last === undefined ? undefined : idOf(last) };
}
