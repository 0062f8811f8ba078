/**
 * The start of the command line.
 *
 * `paddock version` and `paddock ps`, against the start of an empty Node.js program, in turn and in processes of their own. `sources` is
 * `version` from the sources in place of the bundle, for comparison.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { repositoryRoot } from "../harness/child-service.ts";
import { CommandLine, PADDOCK } from "../harness/command-line.ts";
import { Stack } from "../harness/stack.ts";
import { quantile, report } from "./report.ts";

const ROUNDS = 30;
const WARM_UP = 3;
const LIMIT = 4;

const call = promisify(execFile);

await using stack = await Stack.start();
using paddock = new CommandLine(stack);
const { env } = paddock;
const programs: Record<string, readonly string[]> = {
  node: [process.execPath, "-e", "0"],
  version: [PADDOCK, "version"],
  ps: [PADDOCK, "ps"],
  sources: [process.execPath, join(repositoryRoot, "services/cli/src/main.ts"), "version"],
};
const series = Object.keys(programs).map((name) => ({ name, unit: "ms" as const, samples: [] as number[] }));
for (let round = -WARM_UP; round < ROUNDS; round++)
  for (const { name, samples: taken } of series) {
    const [program = "", ...args] = programs[name] ?? [];
    const begun = performance.now();
    await call(program, args, { env });
    if (round >= 0) taken.push(performance.now() - begun);
  }
const median = (name: string) => quantile(series.find((each) => each.name === name)?.samples ?? [], 0.5);
report(
  "cli",
  { rounds: String(ROUNDS) },
  series,
  ["version", "ps"].map((name) => ({
    name: `cli_${name}_per_empty_node`,
    value: median(name) / median("node"),
    limit: LIMIT,
  })),
);
