import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CreateSandboxRequestSchema, RunSandboxRequestSchema } from "@paddock/protocol";
import { requestDigest } from "./request-digest.ts";

const digest = (init: MessageInitShape<typeof CreateSandboxRequestSchema>) =>
  Buffer.from(requestDigest(CreateSandboxRequestSchema, create(CreateSandboxRequestSchema, init))).toString(
    "hex",
  );
const base = { requestId: "r", sandboxId: "s", spec: { labels: { a: "1", b: "2" }, hostname: "h" } };

test("the order of map entries does not matter", () => {
  assert.equal(digest(base), digest({ ...base, spec: { ...base.spec, labels: { b: "2", a: "1" } } }));
});

test("any other difference matters, including that of the call", () => {
  const others = [
    { ...base, sandboxId: "t" },
    { ...base, spec: { ...base.spec, labels: { a: "2", b: "1" } } },
    { ...base, spec: { ...base.spec, hostname: "" } },
    { ...base, spec: { ...base.spec, containers: [{ containerId: "c" }] } },
  ];
  assert.equal(new Set([base, ...others].map(digest)).size, others.length + 1);
  const run = requestDigest(RunSandboxRequestSchema, create(RunSandboxRequestSchema, base));
  assert.notEqual(Buffer.from(run).toString("hex"), digest(base));
});
