import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KeyedLock } from "./keyed-lock.ts";

const never = new AbortController().signal;

/** Lets every promise that can settle do so. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("only one caller holds the lock at a time", async () => {
  const lock = new KeyedLock<string>();
  const first = await lock.acquire("a", { name: "first", signal: never });
  let second: Disposable | undefined;
  const waiting = lock.acquire("a", { name: "second", signal: never }).then((held) => {
    second = held;
  });
  await settle();
  assert.equal(second, undefined);
  first[Symbol.dispose]();
  await waiting;
  assert.ok(second);
});

test("keys are independent of one another", async () => {
  const lock = new KeyedLock<string>();
  await lock.acquire("a", { name: "first", signal: never });
  await lock.acquire("b", { name: "second", signal: never });
});

test("a waiter whose signal aborts leaves at once, and later waiters move up", async () => {
  const lock = new KeyedLock<string>();
  const first = await lock.acquire("a", { name: "first", signal: never });
  const impatient = new AbortController();
  const second = lock.acquire("a", { name: "second", signal: impatient.signal });
  const third = lock.acquire("a", { name: "third", signal: never });
  assert.deepEqual(lock.view("a").waiters, ["second", "third"]);
  impatient.abort(new Error("out of patience"));
  await assert.rejects(second, /out of patience/);
  assert.deepEqual(lock.view("a").waiters, ["third"]);
  first[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  assert.deepEqual(lock.view("a"), { holder: undefined, waiters: [] });
});

test("a call with an aborted signal does not take the lock", async () => {
  const lock = new KeyedLock<string>();
  await assert.rejects(
    lock.acquire("a", { name: "late", signal: AbortSignal.abort(new Error("gone")) }),
    /gone/,
  );
  assert.equal(lock.view("a").holder, undefined);
});

test("the view shows the holder and the time of its grant, and a second release does nothing", async () => {
  const lock = new KeyedLock<string>(() => new Date(1000));
  const held = await lock.acquire("a", { name: "StopSandbox", signal: never });
  assert.deepEqual(lock.view("a").holder, { name: "StopSandbox", since: new Date(1000) });
  held[Symbol.dispose]();
  const next = await lock.acquire("a", { name: "next", signal: never });
  held[Symbol.dispose]();
  assert.equal(lock.view("a").holder?.name, "next");
  next[Symbol.dispose]();
});

test("work that throws releases the lock", async () => {
  const lock = new KeyedLock<string>();
  const failing = lock.with("a", { name: "failing", signal: never }, async () => {
    throw new Error("no");
  });
  await assert.rejects(failing, /no/);
  assert.equal(lock.view("a").holder, undefined);
});

test("concurrent calls run one at a time, in order of arrival", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 12 }), async (calls) => {
      const lock = new KeyedLock<string>();
      let inside = 0;
      const served: number[] = [];
      await Promise.all(
        calls.map((turns, index) =>
          lock.with("a", { name: String(index), signal: never }, async () => {
            inside++;
            for (let turn = 0; turn <= turns; turn++) {
              assert.equal(inside, 1);
              await Promise.resolve();
            }
            inside--;
            served.push(index);
          }),
        ),
      );
      assert.deepEqual(served, [...calls.keys()]);
      assert.deepEqual(lock.view("a"), { holder: undefined, waiters: [] });
    }),
    { numRuns: 200 },
  );
});
