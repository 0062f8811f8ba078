/**
 * Copies with `paddock cp` beside tar through `paddock exec`.
 *
 * A file of 256 MiB and a tree of many small files go into a container and out of it, in turn with `tar | paddock exec -i box tar`, and
 * back in the same run. Each is the time of a whole command line. The target is the ratio of the medians: a copy is not slower.
 * PADDOCK_BENCH_COPY_MIB, PADDOCK_BENCH_COPY_FILES and PADDOCK_BENCH_COPY_ROUNDS set the sizes and the number of rounds.
 */
import { spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommandLine, PADDOCK } from "../harness/command-line.ts";
import { runIdle } from "../harness/sandbox.ts";
import { Stack } from "../harness/stack.ts";
import { median, report } from "./report.ts";

const SIZE_MIB = Number(process.env.PADDOCK_BENCH_COPY_MIB ?? 256);
const FILES = Number(process.env.PADDOCK_BENCH_COPY_FILES ?? 5000);
const ROUNDS = Number(process.env.PADDOCK_BENCH_COPY_ROUNDS ?? 3);
const FILES_PER_DIRECTORY = 100;
const FILE_BYTES = 1000;
const LIMIT = 1;

await using stack = await Stack.start();
using paddock = new CommandLine(stack);
const { env } = paddock;
const here = join(stack.directory, "copies");

function prepare(): void {
  mkdirSync(join(here, "big"), { recursive: true });
  const block = Buffer.alloc(1024 * 1024);
  const parts = Array.from({ length: SIZE_MIB }, () => Buffer.from(randomFillSync(block)));
  writeFileSync(join(here, "big/file"), Buffer.concat(parts));
  for (let file = 0; file < FILES; file += 1) {
    const directory = join(here, "many", String(Math.floor(file / FILES_PER_DIRECTORY)));
    if (file % FILES_PER_DIRECTORY === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, String(file)), block.subarray(0, FILE_BYTES));
  }
}

/** Runs a script of the shell. `$P` is the command line. Returns its seconds. */
async function timed(script: string): Promise<number> {
  const begun = performance.now();
  const child = spawn("sh", ["-ec", script], { env: { ...env, P: PADDOCK, H: here }, stdio: "inherit" });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`"${script}" ended with ${code}`);
  return (performance.now() - begun) / 1000;
}

const inBox = (script: string) => timed(`"$P" exec box sh -c '${script}'`);

prepare();
await runIdle(stack, "box");
const samples = new Map<string, number[]>();
const note = (name: string, seconds: number) => samples.set(name, [...(samples.get(name) ?? []), seconds]);
for (let round = 0; round < ROUNDS; round += 1)
  for (const tree of ["big", "many"]) {
    const back = join(here, "back");
    const clean = async () => {
      await inBox("rm -rf /cp /tar; mkdir /cp /tar");
      rmSync(back, { recursive: true, force: true });
      mkdirSync(back);
    };
    await clean();
    note(`${tree} in, cp`, await timed(`"$P" cp -q "$H/${tree}" box:/cp`));
    note(`${tree} in, tar`, await timed(`tar -C "$H" -c ${tree} | "$P" exec -i box tar -x -C /tar`));
    note(`${tree} out, cp`, await timed(`"$P" cp -q box:/cp/${tree} "$H/back/cp"`));
    note(`${tree} out, tar`, await timed(`"$P" exec box tar -c -C /tar ${tree} | tar -x -C "$H/back"`));
    await timed(`diff -r "$H/${tree}" "$H/back/cp"; diff -r "$H/${tree}" "$H/back/${tree}"`);
    await clean();
  }

const medianOf = (name: string) => median(samples.get(name) ?? []);
report(
  "copy",
  {
    accelerator: "software emulation (TCG)",
    big: `one file of ${SIZE_MIB} MiB`,
    many: `${FILES} files of ${FILE_BYTES} B`,
    rounds: String(ROUNDS),
  },
  [...samples].map(([name, taken]) => ({ name, unit: "s" as const, samples: taken })),
  ["big in", "big out", "many in", "many out"].map((name) => ({
    name: `copy_${name.replace(" ", "_")}_per_tar`,
    value: medianOf(`${name}, cp`) / medianOf(`${name}, tar`),
    limit: LIMIT,
  })),
);
