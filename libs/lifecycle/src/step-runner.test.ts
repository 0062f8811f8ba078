import assert from "node:assert/strict";
import { test } from "node:test";
import { runSteps, type Step, undoSteps } from "./step-runner.ts";

type World = Set<string>;

const step = (name: string, faults: { run?: boolean; undo?: boolean } = {}): Step<World> => ({
  name,
  run: async (world) => {
    world.add(name);
    if (faults.run) throw new Error(`${name} broke`);
  },
  undo: async (world) => {
    if (faults.undo) throw new Error(`undo of ${name} broke`);
    world.delete(name);
  },
});

function setUp() {
  const failures: string[] = [];
  const options = {
    signal: new AbortController().signal,
    undoTimeoutMs: 1000,
    onUndoFailed: (name: string) => failures.push(name),
  };
  return { failures, options, world: new Set<string>() };
}

for (const broken of ["a", "b", "c"])
  test(`when ${broken} fails, it and the earlier steps are undone in reverse order, and its error is thrown`, async () => {
    const { options, world } = setUp();
    const undone: string[] = [];
    const steps = ["a", "b", "c"].map((name): Step<World> => {
      const { run, undo } = step(name, { run: name === broken });
      return {
        name,
        run,
        undo: async (context, signal) => {
          undone.push(name);
          await undo?.(context, signal);
        },
      };
    });
    await assert.rejects(runSteps(steps, world, options), new RegExp(`^Error: ${broken} broke`));
    assert.deepEqual([...world], []);
    const started = ["a", "b", "c"].slice(0, ["a", "b", "c"].indexOf(broken) + 1);
    assert.deepEqual(undone, started.toReversed());
  });

test("a failing undo is reported and hides no error, and the other steps are undone", async () => {
  const { failures, options, world } = setUp();
  const steps = [step("a"), step("b", { undo: true }), step("c", { run: true })];
  await assert.rejects(runSteps(steps, world, options), /c broke/);
  assert.deepEqual(failures, ["b"]);
  assert.deepEqual([...world], ["b"]);
});

test("a step without an undo is skipped", async () => {
  const { options, world } = setUp();
  const { name, run } = step("b");
  await assert.rejects(runSteps([step("a"), { name, run }, step("c", { run: true })], world, options));
  assert.deepEqual([...world], ["b"]);
});

test("a signal that aborts between two steps ends the run with its reason, and all steps are undone", async () => {
  const { options, world } = setUp();
  const controller = new AbortController();
  const aborting: Step<World> = { ...step("a"), run: async () => controller.abort(new Error("too late")) };
  await assert.rejects(
    runSteps([aborting, step("b")], world, { ...options, signal: controller.signal }),
    /too late/,
  );
  assert.deepEqual([...world], []);
});

test("an undo is not stopped by the signal that stopped the run", async () => {
  const { options, world } = setUp();
  const controller = new AbortController();
  let undoneWith: AbortSignal | undefined;
  const aborting: Step<World> = {
    name: "a",
    run: async (_world, signal) => {
      controller.abort(new Error("left"));
      signal.throwIfAborted();
    },
    undo: async (_world, signal) => {
      undoneWith = signal;
    },
  };
  await assert.rejects(runSteps([aborting], world, { ...options, signal: controller.signal }), /left/);
  assert.equal(undoneWith?.aborted, false);
});

test("undoing steps that never ran succeeds, and a failure is returned", async () => {
  const { options, world } = setUp();
  assert.equal(await undoSteps([step("a"), step("b")], world, options), true);
  assert.equal(await undoSteps([step("a"), step("b", { undo: true })], world, options), false);
});
