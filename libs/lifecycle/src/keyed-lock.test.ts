import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KeyedLock } from "./keyed-lock.ts";

const never = new AbortController().signal;

/** Lets every promise that can settle do so. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("a writer is alone", async () => {
  const lock = new KeyedLock<string>();
  const first = await lock.acquire("a", "write", { name: "first", signal: never });
  let second: Disposable | undefined;
  const waiting = lock.acquire("a", "write", { name: "second", signal: never }).then((held) => {
    second = held;
  });
  await settle();
  assert.equal(second, undefined);
  first[Symbol.dispose]();
  await waiting;
  assert.ok(second);
});

test("keys do not know of one another", async () => {
  const lock = new KeyedLock<string>();
  await lock.acquire("a", "write", { name: "first", signal: never });
  await lock.acquire("b", "write", { name: "second", signal: never });
});

test("readers share, and a reader that comes after a waiting writer waits behind it", async () => {
  const lock = new KeyedLock<string>();
  const order: string[] = [];
  const take = async (name: string, mode: "read" | "write") => {
    const held = await lock.acquire("a", mode, { name, signal: never });
    order.push(name);
    return held;
  };
  const one = await take("reader 1", "read");
  const two = await take("reader 2", "read");
  const writer = take("writer", "write");
  const late = take("late reader", "read");
  await settle();
  assert.deepEqual(order, ["reader 1", "reader 2"]);
  one[Symbol.dispose]();
  two[Symbol.dispose]();
  (await writer)[Symbol.dispose]();
  await late;
  assert.deepEqual(order, ["reader 1", "reader 2", "writer", "late reader"]);
});

test("a waiter whose signal fires leaves at once, and those behind it move up", async () => {
  const lock = new KeyedLock<string>();
  const reader = await lock.acquire("a", "read", { name: "reader", signal: never });
  const impatient = new AbortController();
  const writer = lock.acquire("a", "write", { name: "writer", signal: impatient.signal });
  const second = lock.acquire("a", "read", { name: "second reader", signal: never });
  assert.deepEqual(lock.view("a").waiters, ["writer", "second reader"]);
  impatient.abort(new Error("out of patience"));
  await assert.rejects(writer, /out of patience/);
  (await second)[Symbol.dispose]();
  reader[Symbol.dispose]();
  assert.deepEqual(lock.view("a"), { holders: [], waiters: [] });
});

test("a signal that has fired before takes nothing", async () => {
  const lock = new KeyedLock<string>();
  await assert.rejects(
    lock.acquire("a", "write", { name: "late", signal: AbortSignal.abort(new Error("gone")) }),
    /gone/,
  );
  assert.deepEqual(lock.view("a").holders, []);
});

test("the holder is visible with the time since when, and letting go twice is harmless", async () => {
  const lock = new KeyedLock<string>(() => new Date(1000));
  const held = await lock.acquire("a", "write", { name: "StopSandbox", signal: never });
  assert.deepEqual(lock.view("a").holders, [{ name: "StopSandbox", since: new Date(1000) }]);
  held[Symbol.dispose]();
  const next = await lock.acquire("a", "write", { name: "next", signal: never });
  held[Symbol.dispose]();
  assert.deepEqual(
    lock.view("a").holders.map(({ name }) => name),
    ["next"],
  );
  next[Symbol.dispose]();
});

test("work that throws lets go", async () => {
  const lock = new KeyedLock<string>();
  const failing = lock.with("a", "write", { name: "failing", signal: never }, async () => {
    throw new Error("no");
  });
  await assert.rejects(failing, /no/);
  assert.deepEqual(lock.view("a").holders, []);
});

test("whatever comes in whatever order, a writer never shares and everyone gets a turn", async () => {
  const call = fc.record({ mode: fc.constantFrom("read" as const, "write" as const), turns: fc.nat(3) });
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 12 }), async (calls) => {
      const lock = new KeyedLock<string>();
      let readers = 0;
      let writers = 0;
      let served = 0;
      await Promise.all(
        calls.map(({ mode, turns }, index) =>
          lock.with("a", mode, { name: String(index), signal: never }, async () => {
            if (mode === "read") readers++;
            else writers++;
            for (let turn = 0; turn <= turns; turn++) {
              assert.ok(writers <= 1 && (writers === 0 || readers === 0));
              await Promise.resolve();
            }
            if (mode === "read") readers--;
            else writers--;
            served++;
          }),
        ),
      );
      assert.equal(served, calls.length);
      assert.deepEqual(lock.view("a"), { holders: [], waiters: [] });
    }),
    { numRuns: 200 },
  );
});
