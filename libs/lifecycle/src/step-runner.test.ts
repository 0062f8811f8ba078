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
  const journal = new Set<string>();
  const history: string[] = [];
  const failures: string[] = [];
  const options = {
    journal: {
      add: (name: string) => {
        journal.add(name);
        history.push(`+${name}`);
      },
      remove: (name: string) => {
        journal.delete(name);
        history.push(`-${name}`);
      },
    },
    signal: new AbortController().signal,
    undoTimeoutMs: 1000,
    onUndoFailed: (name: string) => failures.push(name),
  };
  return { journal, history, failures, options, world: new Set<string>() };
}

test("the undo is in the journal before its step runs", async () => {
  const { journal, options, world } = setUp();
  const seen: boolean[] = [];
  const watching: Step<World> = { ...step("a"), run: async () => void seen.push(journal.has("a")) };
  await runSteps([watching], world, options);
  assert.deepEqual(seen, [true]);
  assert.deepEqual([...journal], ["a"], "it stays until the caller has recorded the outcome");
});

for (const broken of ["a", "b", "c"])
  test(`when ${broken} fails, it and what came before is undone, the last first, and its error is thrown`, async () => {
    const { journal, history, options, world } = setUp();
    const steps = ["a", "b", "c"].map((name) => step(name, { run: name === broken }));
    await assert.rejects(runSteps(steps, world, options), new RegExp(`^Error: ${broken} broke`));
    assert.deepEqual([...world], []);
    assert.deepEqual([...journal], []);
    const begun = ["a", "b", "c"].slice(0, ["a", "b", "c"].indexOf(broken) + 1);
    assert.deepEqual(history, [
      ...begun.map((name) => `+${name}`),
      ...begun.toReversed().map((name) => `-${name}`),
    ]);
  });

test("an undo that fails stays in the journal, hides nothing, and the others are undone", async () => {
  const { journal, failures, options, world } = setUp();
  const steps = [step("a"), step("b", { undo: true }), step("c", { run: true })];
  await assert.rejects(runSteps(steps, world, options), /c broke/);
  assert.deepEqual([...journal], ["b"]);
  assert.deepEqual(failures, ["b"]);
  assert.deepEqual([...world], ["b"]);
});

test("a signal that fires between two steps ends the run with its reason and everything undone", async () => {
  const { journal, options, world } = setUp();
  const controller = new AbortController();
  const aborting: Step<World> = { ...step("a"), run: async () => controller.abort(new Error("too late")) };
  await assert.rejects(
    runSteps([aborting, step("b")], world, { ...options, signal: controller.signal }),
    /too late/,
  );
  assert.deepEqual([...journal], []);
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

test("undoing what was never done succeeds", async () => {
  const { options, world } = setUp();
  assert.deepEqual(await undoSteps([step("a"), step("b")], world, options), []);
});
