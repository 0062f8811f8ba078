/** The tables of settings in the README at the top: every setting that the daemons declare, as declared. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { settingRows } from "@paddock/lifecycle";
import { API_SETTINGS } from "../../services/api/src/config.ts";
import { NODE_SETTINGS } from "../../services/node/src/config.ts";
import { repositoryRoot } from "../harness/child-service.ts";

const isShared = (name: string) => name in API_SETTINGS && name in NODE_SETTINGS;
const api = settingRows(API_SETTINGS);
const node = settingRows(NODE_SETTINGS);
const tables = {
  "Settings of the api": api.filter(([name]) => !isShared(name)),
  "Settings of the node daemon": node.filter(([name]) => !isShared(name)),
  "Settings of both": api.filter(([name]) => isShared(name)),
};

for (const [title, rows] of Object.entries(tables))
  test(`the README has the ${title.toLowerCase()} as they are declared`, () => {
    const readme = readFileSync(join(repositoryRoot, "README.md"), "utf8");
    const section = readme.split(`\n### ${title}\n`)[1]?.split(/\n#/)[0] ?? "";
    const reported = section.split("\n").flatMap((line) => {
      const [, name, meaning, text] = /^\| `([A-Z0-9_]+)` +\| (.*?) *\| (.*?) *\|$/.exec(line) ?? [];
      return name === undefined ? [] : [[name, meaning, text]];
    });
    assert.deepEqual(reported, rows, `the README must have this table:\n${tableOf(rows)}`);
  });

/** The table in the form of the README, for the error message. */
function tableOf(rows: (typeof tables)[keyof typeof tables]): string {
  const cells = [
    ["Setting", "What it is", "Default"],
    ...rows.map(([name, ...rest]) => [`\`${name}\``, ...rest]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}
