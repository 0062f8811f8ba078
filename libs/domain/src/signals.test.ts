import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { parseSignal, signalName } from "./signals.ts";

test("every signal name of the operating system parses to its number, with and without SIG", () => {
  for (const [name, number] of Object.entries(constants.signals)) {
    assert.equal(parseSignal(name), number, name);
    assert.equal(parseSignal(name.slice(3).toLowerCase()), number, name);
  }
});

test("numbers from 1 to 64 and real-time names are accepted, everything else is refused", () => {
  assert.equal(parseSignal("9"), 9);
  assert.equal(parseSignal("SIGRTMIN+3"), 37);
  assert.equal(parseSignal("RTMAX-1"), 63);
  for (const raw of ["0", "65", "-1", "", "SIG", "TERMX", "RTMIN+99", "constructor"])
    assert.equal(parseSignal(raw), undefined, raw);
});

test("a number has a name", () => {
  assert.equal(signalName(15), "SIGTERM");
  assert.equal(signalName(40), "SIG40");
});
