import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  CONTAINER_REQUESTS,
  CONTAINER_STATES,
  decide,
  denial,
  type Question,
  SANDBOX_REQUESTS,
  SANDBOX_STATES,
} from "./state-machine.ts";

const question: fc.Arbitrary<Question> = fc.oneof(
  fc.record({
    about: fc.constant("sandbox" as const),
    state: fc.constantFrom(...SANDBOX_STATES),
    request: fc.constantFrom(...SANDBOX_REQUESTS),
  }),
  fc.record({
    about: fc.constant("container" as const),
    sandbox: fc.constantFrom(...SANDBOX_STATES),
    state: fc.constantFrom(...CONTAINER_STATES),
    request: fc.constantFrom(...CONTAINER_REQUESTS),
  }),
);

test("every question has an answer, and a denial never lists the actual state as allowed", () => {
  fc.assert(
    fc.property(question, (asked) => {
      const decision = decide(asked);
      if (decision.kind !== "deny") return;
      assert.ok(!decision.allowed.includes(decision.actual));
      assert.equal(
        decision.actual,
        decision.about === "sandbox" && asked.about === "container" ? asked.sandbox : asked.state,
      );
    }),
    { numRuns: 1000 },
  );
});

test("a state that a denial lists as allowed is not denied", () => {
  fc.assert(
    fc.property(question, (asked) => {
      const decision = decide(asked);
      if (decision.kind !== "deny" || decision.about !== asked.about) return;
      for (const state of decision.allowed) {
        const again = decide({ ...asked, state } as Question);
        assert.notEqual(again.kind, "deny", `${state} was allowed`);
      }
    }),
    { numRuns: 1000 },
  );
});

test("force_delete of a sandbox is accepted in every state", () => {
  for (const state of SANDBOX_STATES)
    assert.equal(decide({ about: "sandbox", state, request: "force_delete" }).kind, "accept", state);
});

test("stop is accepted in every state with a VM", () => {
  for (const state of ["ready", "running", "paused"] as const)
    assert.equal(decide({ about: "sandbox", state, request: "stop" }).kind, "accept", state);
});

test("a request for the current state is ignored, not denied", () => {
  const twice = [
    ["start", "running"],
    ["stop", "stopped"],
    ["pause", "paused"],
    ["resume", "running"],
  ] as const;
  for (const [request, state] of twice) {
    assert.equal(
      decide({ about: "sandbox", state, request }).kind,
      "ignore",
      `${request} of a ${state} sandbox`,
    );
    const container = decide({ about: "container", sandbox: "running", state, request });
    assert.equal(container.kind, "ignore", `${request} of a ${state} container`);
  }
});

test("a container can be started, also after it stopped, only in a running sandbox", () => {
  for (const sandbox of ["ready", "paused", "stopped", "creating", "deleting"] as const)
    assert.equal(
      decide({ about: "container", sandbox, state: "ready", request: "start" }).kind,
      "deny",
      sandbox,
    );
  for (const state of ["ready", "stopped"] as const)
    assert.equal(decide({ about: "container", sandbox: "running", state, request: "start" }).kind, "accept");
  assert.equal(
    decide({ about: "container", sandbox: "running", state: "paused", request: "start" }).kind,
    "deny",
  );
});

test("delete of a running container needs force", () => {
  const asked = { about: "container", sandbox: "running", state: "running" } as const;
  assert.equal(decide({ ...asked, request: "delete" }).kind, "deny");
  assert.equal(decide({ ...asked, request: "force_delete" }).kind, "accept");
});

test("a denial becomes WRONG_STATE with the actual and the allowed states", () => {
  const decision = decide({ about: "sandbox", state: "running", request: "delete" });
  assert.equal(decision.kind, "deny");
  if (decision.kind !== "deny") return;
  const error = denial("delete sandbox s1", decision);
  assert.equal(error.reason, "WRONG_STATE");
  assert.equal(error.metadata.actual_state, "running");
  assert.equal(error.metadata.allowed_states, "creating,ready,stopped,deleting");
  assert.match(error.message, /delete sandbox s1/);
});
