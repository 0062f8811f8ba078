import assert from "node:assert/strict";
import { test } from "node:test";
import { parseContainerId, parseRequestId, parseSandboxId } from "./ids.ts";

const hostile = [
  "",
  "../x",
  "a/b",
  "a\0b",
  "x".repeat(129),
  "x".repeat(300),
  "-rf",
  "$(id)",
  "*",
  ">",
  ".",
  "..",
  ".a",
  "a b",
  "a\n",
  "é",
];

for (const raw of hostile) {
  test(`${JSON.stringify(raw.slice(0, 20))} (${raw.length} characters) is not a sandbox id`, () => {
    assert.equal(parseSandboxId(raw), undefined);
    assert.equal(parseContainerId(raw), undefined);
  });
}

test("ids of 1 to 128 letters, digits, dots, dashes and underscores are accepted unchanged", () => {
  for (const raw of ["a", "0", "A.b_c-1", "x".repeat(128)]) assert.equal(parseSandboxId(raw), raw);
});

test("a request id may hold a colon and is at most 64 characters long", () => {
  assert.equal(parseRequestId("a:b"), "a:b");
  assert.equal(parseRequestId("x".repeat(65)), undefined);
});
