import assert from "node:assert/strict";
import { test } from "node:test";
import { guestHostname } from "./guest-hostname.ts";
import { sandboxPaths } from "./sandbox-paths.ts";

test("the longest id has sockets whose paths the kernel takes, below a state directory of 60 characters", () => {
  const paths = sandboxPaths(`/${"d".repeat(59)}`, "x".repeat(128));
  for (const path of [paths.qmpSocket, paths.agentSocket, paths.serialSocket])
    assert.ok(path.length <= 107, `${path.length}`);
});

test("nothing of the id itself is in a path", () => {
  const paths = sandboxPaths("/state", "..secret..");
  for (const path of Object.values(paths)) assert.doesNotMatch(path, /secret/);
});

test("an id is made to fit a hostname", () => {
  assert.equal(guestHostname("a_b.c"), "a-b-c");
  assert.equal(guestHostname("x".repeat(128)).length, 63);
  assert.equal(guestHostname("_"), "sandbox");
  assert.match(guestHostname(`${"a".repeat(62)}_b`), /^[a-z]+$/);
});
