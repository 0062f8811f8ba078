import assert from "node:assert/strict";
import { test } from "node:test";
import { guestHostname } from "./guest-hostname.ts";
import { sandboxPaths } from "./sandbox-paths.ts";

test("paths do not contain the id itself", () => {
  const paths = sandboxPaths("/state", "..secret..");
  for (const path of Object.values(paths)) assert.doesNotMatch(path, /secret/);
});

test("an id is converted to a valid hostname", () => {
  assert.equal(guestHostname("a_b.c"), "a-b-c");
  assert.equal(guestHostname("x".repeat(128)).length, 63);
  assert.equal(guestHostname("_"), "sandbox");
  assert.match(guestHostname(`${"a".repeat(62)}_b`), /^[a-z]+$/);
});
