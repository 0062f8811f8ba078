import assert from "node:assert/strict";
import { test } from "node:test";
import { TurnBudget } from "./turn-budget.ts";

test("all streams together handle a limited number of messages in one turn of the event loop", async () => {
  const budget = new TurnBudget(10);
  let handled = 0;
  let most = 0;
  let before = 0;
  let turning = true;
  const look = () => {
    most = Math.max(most, handled - before);
    before = handled;
    if (turning) setImmediate(look);
  };
  setImmediate(look);
  const stream = async () => {
    for (let count = 0; count < 50; count += 1) {
      await budget.next();
      handled += 1;
    }
  };
  await Promise.all(Array.from({ length: 8 }, stream));
  turning = false;
  assert.equal(handled, 400);
  assert.ok(most <= 20, `${most} messages in one turn`);
});

test("a waiting stream gets its turn even if others never pause", async () => {
  const budget = new TurnBudget(4);
  let over = false;
  const endless = async () => {
    while (!over) await budget.next();
  };
  const greedy = Array.from({ length: 10 }, endless);
  for (let count = 0; count < 20; count += 1) await budget.next();
  over = true;
  await Promise.all(greedy);
});
