import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mergePages, type NodePage } from "./merge-pages.ts";

/** A node that answers with at most `limit` of its ids after `after`. */
const pageOf = (ids: readonly string[], after: string, limit: number): NodePage<string> => {
  const left = [...ids].sort().filter((id) => id > after);
  return { items: left.slice(0, limit), more: left.length > limit };
};

test("paging returns every id once and in order, even if nodes answer with short pages", () => {
  const node = fc.record({
    ids: fc.uniqueArray(fc.stringMatching(/^[a-c]{1,4}$/), { maxLength: 20 }),
    limit: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(
    fc.property(fc.array(node, { maxLength: 4 }), fc.integer({ min: 1, max: 7 }), (nodes, pageSize) => {
      const seen: string[] = [];
      let after: string | undefined = "";
      while (after !== undefined) {
        const from: string = after;
        const page = mergePages(
          nodes.map(({ ids, limit }) => pageOf(ids, from, limit)),
          pageSize,
          { idOf: (id) => id, bytesOf: () => 1 },
        );
        assert.ok(page.items.length <= pageSize);
        assert.ok(page.nextAfter === undefined || page.nextAfter > from, "every page advances");
        seen.push(...page.items);
        after = page.nextAfter;
      }
      assert.deepEqual(seen, [...new Set(nodes.flatMap(({ ids }) => ids))].sort());
    }),
  );
});

test("items with the same id are joined", () => {
  const items = [["a", 1] as const, ["a", 2] as const, ["b", 3] as const];
  const page = mergePages(
    items.map((item) => ({ items: [item], more: false })),
    10,
    { idOf: ([id]) => id, bytesOf: () => 1 },
  );
  assert.deepEqual(page, {
    items: [
      ["a", 1],
      ["b", 3],
    ],
    nextAfter: undefined,
  });
});

test("a page fits in a message of a client, and has at least one item", () => {
  const MIB = 1024 * 1024;
  const rules = {
    idOf: ([id]: readonly [string, number]) => id,
    bytesOf: ([, bytes]: readonly [string, number]) => bytes,
  };
  const idsOf = (...sizes: number[]) => {
    const items = sizes.map((size, index) => [`i${index}`, size * MIB] as const);
    const { items: page, nextAfter } = mergePages([{ items, more: false }], 10, rules);
    return [page.map(([id]) => id), nextAfter];
  };
  assert.deepEqual(idsOf(1, 1, 1, 1), [["i0", "i1", "i2"], "i2"]);
  assert.deepEqual(idsOf(9, 1), [["i0"], "i0"]);
  assert.deepEqual(idsOf(1, 1), [["i0", "i1"], undefined]);
});
