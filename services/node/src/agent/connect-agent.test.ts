import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAgent } from "./connect-agent.ts";
import { FakeAgent } from "./fake-agent.ts";

test("a call reaches the agent behind the handshake", async () => {
  await using fake = await FakeAgent.start();
  await using agent = await connectAgent({ socketPath: fake.socketPath, deadlineMs: 2000 });
  const { guest } = await agent.sandbox.getGuest({});
  assert.equal(guest?.agentVersion, "fake");
});
