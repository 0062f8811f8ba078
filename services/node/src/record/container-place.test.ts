import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ContainerPlace, freePlace, MAX_CONTAINERS, targetsOf } from "./container-place.ts";

const targetsIn = (places: readonly ContainerPlace[]) => places.flatMap(({ targets }) => targetsOf(targets));

test("for any order of creations and deletions, no two containers share a number or a target, and each gets the lowest free one", () => {
  const change = fc.oneof(
    fc.record({ add: fc.constant(true), readOnlyRootfs: fc.boolean(), at: fc.constant(0) }),
    fc.record({ add: fc.constant(false), readOnlyRootfs: fc.constant(false), at: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 300 }), (changes) => {
      const places: ContainerPlace[] = [];
      for (const { add, at, readOnlyRootfs } of changes) {
        if (!add) {
          if (places.length > 0) places.splice(at % places.length, 1);
          continue;
        }
        if (places.length === MAX_CONTAINERS) continue;
        const before = new Set(targetsIn(places));
        const place = freePlace(places, { readOnlyRootfs });
        const own = targetsOf(place.targets);
        assert.equal(own.length, readOnlyRootfs ? 1 : 2);
        for (const target of own) assert.ok(!before.has(target) && target >= 0 && target < 256);
        for (let lower = 0; lower < Math.max(...own); lower++)
          assert.ok(before.has(lower) || own.includes(lower), `target ${lower} is free`);
        assert.ok(places.every(({ index }) => index !== place.index));
        places.push(place);
      }
    }),
  );
});

test("128 containers with writable layers use all targets, and read-only ones half of them", () => {
  const fill = (readOnlyRootfs: boolean) => {
    const places: ContainerPlace[] = [];
    for (let count = 0; count < MAX_CONTAINERS; count++) places.push(freePlace(places, { readOnlyRootfs }));
    return places;
  };
  assert.equal(new Set(targetsIn(fill(false))).size, 256);
  assert.deepEqual(targetsIn(fill(true)), [...Array(128).keys()]);
  assert.throws(() => freePlace(fill(true), { readOnlyRootfs: true }), { reason: "TOO_MANY" });
});

test("a place that was given back is used again", () => {
  const first = freePlace([], { readOnlyRootfs: false });
  const second = freePlace([first], { readOnlyRootfs: false });
  assert.deepEqual(
    [first.targets, second.targets],
    [
      { image: 0, layer: 1 },
      { image: 2, layer: 3 },
    ],
  );
  assert.deepEqual(freePlace([second], { readOnlyRootfs: true }), { index: 0, targets: { image: 0 } });
  assert.deepEqual(freePlace([second], { readOnlyRootfs: false }), first);
});
