import assert from "node:assert/strict";
import { test } from "node:test";
import { afterIdOf, pageSizeOf, pageTokenAfter } from "./page-token.ts";

test("a token contains the id and differs from it", () => {
  for (const id of ["a", "x.y-z_0", "sha256:ab"]) {
    assert.equal(afterIdOf(pageTokenAfter(id)), id);
    assert.notEqual(pageTokenAfter(id), id);
  }
  assert.equal(afterIdOf(""), "");
});

for (const token of ["a", "====", "MTph=", Buffer.from("2:a").toString("base64url"), "MTph\n", "💥"]) {
  test(`${JSON.stringify(token)} is not a token`, () => {
    assert.throws(() => afterIdOf(token), { reason: "INVALID_FIELD" });
  });
}

test("a page has 100 items by default, and 1000 at most", () => {
  assert.deepEqual([0, 7, 5_000].map(pageSizeOf), [100, 7, 1_000]);
});
