import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { SandboxSpecSchema } from "@paddock/protocol";
import { hostSharesOf, normalHostPath } from "./host-shares.ts";

const mountOf = (path: string, readOnly = false) => ({
  destination: "/work",
  readOnly,
  source: { case: "hostDirectory", value: { path } } as const,
});

const specOf = (...mounts: ReturnType<typeof mountOf>[]) =>
  create(SandboxSpecSchema, { containers: mounts.map((mount) => ({ mounts: [mount] })) });

test("containers that mount a directory in the same way have one share, and a read-only mount has its own", () => {
  const shares = hostSharesOf(
    specOf(mountOf("/h/a"), mountOf("/h//a/"), mountOf("/h/a", true), mountOf("/h/b")),
  );
  assert.deepEqual(shares, [
    { index: 0, tag: "host0", path: "/h/a", readOnly: false },
    { index: 1, tag: "host1", path: "/h/a", readOnly: true },
    { index: 2, tag: "host2", path: "/h/b", readOnly: false },
  ]);
});

test("a sandbox has at most eight shares", () => {
  const mounts = Array.from({ length: 9 }, (_, i) => mountOf(`/h/${i}`));
  assert.equal(hostSharesOf(specOf(...mounts.slice(1))).length, 8);
  assert.throws(() => hostSharesOf(specOf(...mounts)), { reason: "TOO_MANY" });
});

for (const path of ["h", "/h/../etc", "/h/./a", "/..", "/h/\0"])
  test(`the path ${JSON.stringify(path)} is refused`, () => {
    assert.throws(() => normalHostPath(path), { reason: "INVALID_FIELD" });
  });
