import assert from "node:assert/strict";
import { test } from "node:test";
import { candidates, type NodeOffer, unfit } from "./placement.ts";

const GIB = 1024 ** 3;
const amount = (milliCpus: number, memoryBytes: number) => ({ milliCpus, memoryBytes, diskBytes: 0 });
const offer = (nodeId: string, changes: Partial<NodeOffer> = {}): NodeOffer => ({
  nodeId,
  liveness: "up",
  cordoned: false,
  capacity: amount(8_000, 16 * GIB),
  allocated: amount(0, 0),
  ...changes,
});
const demand = { room: amount(1_000, GIB) };

const cases: [string, Partial<NodeOffer>, ReturnType<typeof unfit>][] = [
  ["an empty node", {}, undefined],
  ["a suspect node", { liveness: "suspect" }, "suspect"],
  ["a node that is down", { liveness: "down" }, "down"],
  ["a cordoned node", { cordoned: true }, "cordoned"],
  ["a node with exactly enough left", { allocated: amount(7_000, 15 * GIB) }, undefined],
  ["a node that lacks one byte", { allocated: amount(0, 15 * GIB + 1) }, "memory"],
  ["a node that lacks a thousandth of a CPU", { allocated: amount(7_001, 0) }, "cpus"],
];
for (const [what, changes, expected] of cases) {
  test(`${what} is ${expected ? `unfit: ${expected}` : "fit"}`, () => {
    assert.equal(unfit(offer("n", changes), demand), expected);
  });
}

test("a node that lacks one byte of disk is unfit, and so is refused with NO_DISK_SPACE if it lacks nothing else", () => {
  const withDisk = (diskBytes: number) => ({ ...amount(8_000, 16 * GIB), diskBytes });
  const wants = { room: { ...demand.room, diskBytes: GIB } };
  const exact = offer("n", {
    capacity: withDisk(3 * GIB),
    allocated: { ...amount(0, 0), diskBytes: 2 * GIB },
  });
  assert.equal(unfit(exact, wants), undefined);
  const full = { ...exact, capacity: withDisk(3 * GIB - 1) };
  assert.equal(unfit(full, wants), "disk");
  assert.throws(() => candidates([full], wants, "s"), {
    reason: "NO_DISK_SPACE",
    metadata: { "node.n": "disk" },
  });
  const small = offer("m", { capacity: amount(8_000, 0) });
  assert.throws(() => candidates([full, small], wants, "s"), { reason: "NO_CAPACITY" });
  assert.deepEqual(candidates([exact, offer("z", { capacity: withDisk(9 * GIB) })], wants, "s"), ["z", "n"]);
});

test("the emptiest node comes first, by its scarcest resource", () => {
  const offers = [
    offer("half", { allocated: amount(0, 8 * GIB) }),
    offer("cpu-bound", { allocated: amount(6_900, 0) }),
    offer("empty"),
    offer("down", { liveness: "down" }),
  ];
  assert.deepEqual(candidates(offers, demand, "s"), ["empty", "half", "cpu-bound"]);
});

test("equal nodes are ordered by a hash of the sandbox id: evenly distributed and stable", () => {
  const offers = [offer("a"), offer("b"), offer("c")];
  const firsts = new Map<string, number>();
  for (let i = 0; i < 600; i++) {
    const first = candidates(offers, demand, `sandbox-${i}`)[0] ?? "";
    firsts.set(first, (firsts.get(first) ?? 0) + 1);
    assert.equal(candidates(offers.toReversed(), demand, `sandbox-${i}`)[0], first);
  }
  for (const count of firsts.values()) assert.ok(count > 120, JSON.stringify([...firsts]));
  assert.equal(firsts.size, 3);
});

test("without an available node placement throws NO_NODES, with only full nodes NO_CAPACITY, each with the reason of every node", () => {
  assert.throws(() => candidates([], demand, "s"), { reason: "NO_NODES" });
  assert.throws(() => candidates([offer("a", { cordoned: true })], demand, "s"), {
    reason: "NO_NODES",
    metadata: { "node.a": "cordoned" },
  });
  const full = offer("b", { allocated: amount(0, 16 * GIB) });
  assert.throws(() => candidates([offer("a", { liveness: "down" }), full], demand, "s"), {
    reason: "NO_CAPACITY",
    metadata: { "node.a": "down", "node.b": "memory" },
  });
});
