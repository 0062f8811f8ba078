/**
 * Runs test files in the order of the arguments. `node --test` sorts them by name, and a long file that starts last delays a
 * whole stage.
 *
 *   node [OPTION of node's test runner]... run-files.ts CONCURRENCY TIMEOUT_MS TALLY FILE...
 *
 * Prints the result of each test, and writes the tally to the file TALLY.
 */
import { createWriteStream } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import tallyReporter from "./tally-reporter.ts";

const [concurrency, timeout, tally = "", ...files] = process.argv.slice(2);
const events = run({ files, concurrency: Number(concurrency), timeout: Number(timeout) });
events.once("test:fail", () => {
  process.exitCode = 1;
});
events.compose(new spec()).pipe(process.stdout);
events.compose(tallyReporter).pipe(createWriteStream(tally));
