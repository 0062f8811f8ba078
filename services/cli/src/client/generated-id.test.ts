import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { chosenName, isGeneratedId, isShortFor, newId } from "./generated-id.ts";

test("an id that the command line generates is recognized, and may be shortened to four characters", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.integer({ min: 4, max: 12 }),
      (bytes, length) => {
        const id = newId(() => Buffer.from(bytes));
        assert.match(id, /^[0-9a-f]{12}$/);
        assert.ok(isGeneratedId(id));
        assert.ok(isShortFor(id.slice(0, length), id));
        assert.ok(!isShortFor(id.slice(0, 3), id));
      },
    ),
  );
});

test("an id that the api generates is recognized; a UUID of a client is a chosen name", () => {
  assert.ok(isShortFor("0b1c2d3e", "0b1c2d3e-4f50-8a6b-9c7d-8e9fa0b1c2d3"));
  assert.ok(!isShortFor("0b1c2d3e", "0b1c2d3e-4f50-4a6b-9c7d-8e9fa0b1c2d3"));
  assert.ok(!isShortFor("0b1c2d3e", "0b1c2d3e-4f50-7a6b-9c7d-8e9fa0b1c2d3"));
});

test("a chosen name is never shortened, even if it looks like an id", () => {
  for (const name of [
    "job-10",
    "deadbeef",
    "deadbeef0001",
    "202601311200",
    "cafebabecafe",
    "0123456789abcdef",
  ]) {
    assert.ok(isShortFor(name, name));
    assert.ok(!isShortFor(name.slice(0, -1), name), name);
  }
});

test("few names of twelve hex digits have the form of a generated id, and those that do cannot be chosen", () => {
  const names = Array.from({ length: 20_000 }, (_, index) =>
    createHash("sha256").update(`name ${index}`).digest("hex").slice(0, 12),
  );
  assert.ok(names.filter(isGeneratedId).length <= 3);
  for (const name of ["web", "cafe", "cafebabecafe"]) assert.equal(chosenName(name), name);
  assert.throws(() => chosenName(newId()), /has the form of a generated id/);
});
