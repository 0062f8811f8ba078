import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { LiveTable } from "./live-table.ts";

/** A terminal that implements the escape sequences of a live table, and throws at others. */
class Screen {
  lines: string[] = [""];
  row = 0;
  isCursorShown = true;

  write(text: string): void {
    const visible = text.replaceAll("\x1b", "␛");
    for (const [piece] of visible.matchAll(/␛\[\??\d*[A-Za-z]|[\r\n]|[^␛\r\n]+/g)) this.#apply(piece);
  }

  get text(): string {
    return this.lines.join("\n").trimEnd();
  }

  #apply(piece: string): void {
    const up = /^␛\[(\d+)A$/.exec(piece)?.[1];
    if (up !== undefined) this.row -= Number(up);
    else if (piece === "␛[?25l") this.isCursorShown = false;
    else if (piece === "␛[?25h") this.isCursorShown = true;
    else if (piece === "␛[H") this.row = 0;
    else if (piece === "␛[2J") this.lines = [""];
    else if (piece === "␛[J") this.lines = [...this.lines.slice(0, this.row), ""];
    else if (piece === "\n") {
      this.row += 1;
      this.lines[this.row] ??= "";
    } else if (piece !== "␛[K" && piece !== "\r") {
      assert.ok(!piece.startsWith("␛"), JSON.stringify(piece));
      this.lines[this.row] = piece;
    }
    assert.ok(this.row >= 0, "the cursor stays on the screen");
  }
}

function fixture(size = { rows: 10, columns: 40 }) {
  const [stdout, screen, writes] = [new PassThrough(), new Screen(), [] as string[]];
  stdout.on("data", (data: Buffer) => {
    writes.push(data.toString());
    screen.write(data.toString());
  });
  screen.write("$ paddock stats\n");
  return { table: new LiveTable(stdout, () => ({ ...size })), screen, writes, size };
}

test("each drawing replaces the table before it, in one write, and keeps the lines above", async () => {
  const { table, screen, writes } = fixture();
  await table.draw("A\nlong line\nthird\n");
  assert.equal(screen.text, "$ paddock stats\nA\nlong line\nthird");
  await table.draw("A\nx\n");
  assert.equal(screen.text, "$ paddock stats\nA\nx");
  await table.draw("A\nx\ny\nz\n");
  assert.equal(screen.text, "$ paddock stats\nA\nx\ny\nz");
  assert.equal(writes.length, 3);
});

test("the cursor is hidden while the table is shown, and visible again at its end", async () => {
  const { table, screen } = fixture();
  table[Symbol.dispose]();
  assert.equal(screen.isCursorShown, true);
  await table.draw("A\n");
  assert.equal(screen.isCursorShown, false);
  table[Symbol.dispose]();
  assert.equal(screen.isCursorShown, true);
});

test("lines are cut to the width of the terminal, and the table to its height", async () => {
  const { table, screen } = fixture({ rows: 4, columns: 6 });
  await table.draw("12345678\na\nb\nc\nd\n");
  assert.equal(screen.text, "$ paddock stats\n12345\na\n(3 mo");
});

test("characters that are two columns wide count as two, and are not split", async () => {
  const { table, screen } = fixture({ rows: 4, columns: 6 });
  await table.draw("漢字漢字\na😀😀😀\n");
  assert.equal(screen.text, "$ paddock stats\n漢字\na😀😀");
});

test("a terminal whose size has changed is cleared, because it wrapped the lines itself", async () => {
  const { table, screen, size } = fixture();
  await table.draw("A\nb\n");
  size.columns = 20;
  await table.draw("A\nc\n");
  assert.equal(screen.text, "A\nc");
});
