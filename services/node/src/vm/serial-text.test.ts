import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EVIDENCE_BYTES, serialText, showsPanic } from "./serial-text.ts";

test("any output of a guest is shown printable and bounded", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3 * EVIDENCE_BYTES }), (bytes) => {
      const text = serialText(bytes);
      assert.ok(text.length <= EVIDENCE_BYTES);
      assert.match(text, /^[\n\t\x20-\x7e]*$/);
    }),
  );
});

test("line breaks are kept, colours are removed, and only the end is kept", () => {
  const said = `${"x".repeat(EVIDENCE_BYTES)}\r\n\x1b[31mlast\x1b[0m line\r\n`;
  assert.match(serialText(Buffer.from(said)), /x\nlast line$/);
});

test("only the kernel's panic message counts as a panic", () => {
  assert.ok(showsPanic("[ 1.0] Kernel panic - not syncing: Attempted to kill init!"));
  assert.ok(!showsPanic("do not panic"));
});
