/**
 * Runs test files in the order of the arguments. `node --test` sorts them by name, and a long file that starts last delays a
 * whole stage.
 *
 *   run-files.ts CONCURRENCY TIMEOUT_MS TALLY FILE... [OPTION]...
 *
 * The options, such as --test-name-pattern=REGEX, are for the processes of the files: here they would also select files by name.
 * Prints the result of each test, and writes the tally to the file TALLY.
 */
import { createWriteStream } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import tallyReporter from "./tally-reporter.ts";

const [concurrency, timeout, tally = "", ...rest] = process.argv.slice(2);
const execArgv = rest.filter((each) => each.startsWith("--"));
const files = rest.filter((each) => !each.startsWith("--"));
const events = run({ files, execArgv, concurrency: Number(concurrency), timeout: Number(timeout) });
events.once("test:fail", () => {
  process.exitCode = 1;
});
events.compose(new spec()).pipe(process.stdout);
events.compose(tallyReporter).pipe(createWriteStream(tally));
