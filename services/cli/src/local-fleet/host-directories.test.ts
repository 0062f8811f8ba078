import assert from "node:assert/strict";
import { test } from "node:test";
import { withCallersDirectory } from "./host-directories.ts";

const home = "/home/ann";
const sharedIn = (directory: string, env = {}) =>
  withCallersDirectory({ ...env }, { directory, home }).PADDOCK_HOST_DIRECTORIES;

test("the directory in which the fleet is started is shared", () => {
  assert.equal(sharedIn("/home/ann/project"), "/home/ann/project");
});

for (const directory of ["/", "/root", home, "/a:b"])
  test(`the directory ${directory} is not shared because somebody was there`, () => {
    assert.equal(sharedIn(directory), undefined);
  });

test("a setting of the operator comes first, also when it is empty", () => {
  assert.equal(sharedIn("/srv/x", { PADDOCK_HOST_DIRECTORIES: "/srv/y" }), "/srv/y");
  assert.equal(sharedIn("/srv/x", { PADDOCK_HOST_DIRECTORIES: "" }), "");
});
