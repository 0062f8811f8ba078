import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { ContainerState, SandboxState } from "@paddock/protocol";
import { newId } from "./client/generated-id.ts";
import { fakeSandbox, serveSandboxes } from "./testing/fake-sandbox.ts";
import { cli } from "./testing/run-in-process.ts";

const SANDBOXES = [
  fakeSandbox("web", ["main", "helper"]),
  {
    sandboxId: "job",
    nodeId: "host-2",
    spec: { labels: { team: "blue" } },
    status: {
      sandboxId: "job",
      state: SandboxState.STOPPED,
      createdAt: { seconds: 5n },
      containers: [
        { containerId: "main", image: "python:3.11", state: ContainerState.STOPPED, exitStatus: { code: 3 } },
      ],
    },
  },
  {
    sandboxId: "still",
    nodeId: "host-1",
    status: {
      sandboxId: "still",
      state: SandboxState.PAUSED,
      createdAt: { seconds: 9n },
      containers: [
        { containerId: "main", image: "tiny:1", state: ContainerState.RUNNING, labels: { tier: "db" } },
      ],
    },
  },
];

for (const { words, shows } of [
  { words: [], shows: ["web", "still"] },
  { words: ["-a"], shows: ["web", "job", "still"] },
  { words: ["--filter", "status=running"], shows: ["web"] },
  { words: ["--filter", "status=paused"], shows: ["still"] },
  { words: ["-f", "status=exited"], shows: ["job"] },
  { words: ["-f", "status=exited", "-f", "status=paused"], shows: ["job", "still"] },
  { words: ["-f", "exited=3"], shows: ["job"] },
  { words: ["-f", "exited=0"], shows: [] },
  { words: ["-f", "name=help"], shows: ["web"] },
  { words: ["-a", "-f", "image=python"], shows: ["job"] },
  { words: ["-a", "-f", "ancestor=python:3.11"], shows: ["job"] },
  { words: ["-f", "label=tier"], shows: ["still"] },
  { words: ["-f", "label=tier=web"], shows: [] },
  { words: ["-a", "-f", "label=team=blue"], shows: ["job"] },
  { words: ["-a", "-f", "node=host-1"], shows: ["web", "still"] },
  { words: ["-f", "node=host-1", "-f", "status=paused"], shows: ["still"] },
  { words: ["-n", "2"], shows: ["web", "still"] },
  { words: ["-l"], shows: ["web"] },
]) {
  test(`"ps -q ${words.join(" ")}" shows ${shows.join(", ") || "none"}`, async () => {
    await using api = await FakeApi.start();
    serveSandboxes(api, SANDBOXES);
    const { code, out, err } = await cli(api, ["ps", "-q", ...words]);
    assert.deepEqual([code, out.split("\n").filter(Boolean), err], [0, shows, ""]);
  });
}

test("an id that a filter names in full does not match longer ids", async () => {
  await using api = await FakeApi.start();
  const generated = newId(() => Buffer.from("cafe0001", "hex"));
  serveSandboxes(api, [fakeSandbox("cafe"), fakeSandbox(generated)]);
  const shown = async (id: string) => (await cli(api, ["ps", "-q", "-f", `id=${id}`])).out;
  assert.equal(await shown("cafe"), "cafe\n");
  assert.equal(await shown("cafe0"), `${generated}\n`);
});

test("a filter shows the containers that match, and an unknown filter is a usage error", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, SANDBOXES);
  assert.match(
    (await cli(api, ["ps", "-f", "name=helper", "-f", "image=tiny"])).out,
    /^SANDBOX .*\nweb +helper .*\n$/,
  );
  for (const filter of ["colour=red", "status", "status=asleep", "constructor=x"])
    assert.equal((await cli(api, ["ps", "-f", filter])).code, 2, filter);
});
