import assert from "node:assert/strict";
import { test } from "node:test";
import { closest } from "../client/closest.ts";
import { columns } from "./columns.ts";
import { LineStamper } from "./line-stamper.ts";
import { printable } from "./printable.ts";
import { formatAge, formatBytes, formatSpan, parseBytes, parseSpan } from "./quantities.ts";

test("sizes are read in powers of 1024", () => {
  const sizes = {
    "1024": 1024,
    "64k": 65_536,
    "1.5g": 1_610_612_736,
    "512MiB": 536_870_912,
    "2t": 2 * 1024 ** 4,
    "10B": 10,
  };
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseBytes(text), bytes, text);
  for (const text of ["", "m", "-1", "1x", "1e3", "99999999t", "1 0"])
    assert.throws(() => parseBytes(text), text);
});

test("spans of time are read with and without units", () => {
  const spans = { "10": 10_000, "500ms": 500, "1h30m": 5_400_000, "1.5s": 1500, "2d": 172_800_000 };
  for (const [text, ms] of Object.entries(spans)) assert.equal(parseSpan(text), ms, text);
  for (const text of ["", "s", "1x", "-5s", "5s junk", "1h,30m"]) assert.throws(() => parseSpan(text), text);
});

test("sizes, spans and ages are formatted for people", () => {
  assert.deepEqual([0, 1023, 1024, 10 * 1024, 150 * 1024 ** 2, 2n ** 40n].map(formatBytes), [
    "0B",
    "1023B",
    "1.00KiB",
    "10.0KiB",
    "150MiB",
    "1.00TiB",
  ]);
  assert.deepEqual([12, 3140, 125_000].map(formatSpan), ["12 ms", "3.1 s", "2 min 5 s"]);
  assert.deepEqual([100, 1000, 59_000, 120_000, 3_600_000, 90_000_000].map(formatAge), [
    "less than a second",
    "1 second",
    "59 seconds",
    "2 minutes",
    "1 hour",
    "1 day",
  ]);
});

test("columns are as wide as their widest cell and have no trailing blanks", () => {
  assert.equal(
    columns([
      ["A", "B"],
      ["long cell", ""],
    ]),
    "A           B\nlong cell\n",
  );
});

test("control characters of a tenant do not reach the terminal", () => {
  assert.equal(printable("a\x1b]0;title\x07b\nc\u009bd\u202ee"), "a\\x1b]0;title\\x07b\\x0ac\\x9bd\\u202ee");
  assert.equal(printable("grün — 漢字"), "grün — 漢字");
});

test("a line gets one timestamp, however it is split, and its bytes stay unchanged", () => {
  const stamper = new LineStamper();
  const at = new Date(0);
  const pieces = [Buffer.from([0x61, 0xff]), Buffer.from("b\n\n"), Buffer.from("c")].map((piece) =>
    stamper.stamp(piece, at),
  );
  const prefix = "1970-01-01T00:00:00.000Z ";
  const expected = Buffer.concat([
    Buffer.from(prefix),
    Buffer.from([0x61, 0xff]),
    Buffer.from(`b\n${prefix}\n${prefix}c`),
  ]);
  assert.deepEqual(Buffer.concat(pieces), expected);
});

test("a misspelt word suggests a similar command, and an unrelated word suggests none", () => {
  assert.equal(closest("wbe", ["web", "job"]), "web");
  assert.equal(closest("databse", ["database", "web"]), "database");
  assert.equal(closest("zzz", ["web", "job"]), undefined);
});
