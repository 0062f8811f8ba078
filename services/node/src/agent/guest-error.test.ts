import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { agentpb } from "@paddock/protocol";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";
import { guestError } from "./guest-error.ts";

const { updateContainer, pauseContainer } = agentpb.ContainerService.method;
const { resizeTty } = agentpb.ProcessService.method;

const refusal = (text: string) => new ConnectError(text, Code.FailedPrecondition);

const NOT_CONFIGURED = "the guest is not configured; call ConfigureSandbox first";
const STOPPING = "the guest is shutting down";
const BELOW_USE =
  'cannot update container "c1": memory_bytes is 1048576, and 9437184 are in use that cannot be given back';
const NO_TERMINAL = 'process "sh" of container "c1": the process has no terminal';

test("a limit below what is in use and a process without a terminal are told by name", () => {
  assert.equal(guestError(refusal(BELOW_USE), updateContainer).reason, "LIMIT_BELOW_USE");
  assert.equal(guestError(refusal(NO_TERMINAL), resizeTty).reason, "NO_TERMINAL");
});

test("a guest that is not configured or shuts down is in the wrong state, whatever it is asked for", () => {
  for (const method of [updateContainer, resizeTty, pauseContainer])
    for (const text of [NOT_CONFIGURED, STOPPING])
      assert.equal(guestError(refusal(text), method).reason, "WRONG_STATE", `${method.name}: ${text}`);
});

/** What an update is answered whose guest refuses it with `text`. */
async function refusedUpdate(text: string): Promise<string> {
  await using node = await TestNode.start();
  const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
  sandboxIn(await node.ask({ case: "runSandbox", value: { spec } }));
  let asked = 0;
  node.guest.onCall = async (name) => {
    if (name === "updateContainer" && asked++ === 0) throw refusal(text);
  };
  const resources = { memoryBytes: 64n * 1024n * 1024n };
  return detailsOf(await node.ask({ case: "updateContainer", value: { containerId: "c1", resources } }));
}

function detailsOf(outcome: NamedOutcome): string {
  assert.ok(outcome.case === "error");
  return Buffer.concat(outcome.value.details.map(({ value }) => value)).toString("latin1");
}

test("an update that a guest refuses as it shuts down does not blame the limit", async () => {
  assert.match(await refusedUpdate(STOPPING), /WRONG_STATE/);
  assert.match(await refusedUpdate(BELOW_USE), /LIMIT_BELOW_USE/);
});
