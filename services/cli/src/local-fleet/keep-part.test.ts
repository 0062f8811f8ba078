import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type KeptPart, keepPart } from "./keep-part.ts";
import { RunningPart } from "./running-part.ts";

const directory = await mkdtemp(join(tmpdir(), "paddock-keep-"));
after(() => rm(directory, { recursive: true }));

/** Keeps a part that runs each script in turn. */
async function kept(scripts: readonly string[]) {
  const [notes, pauses]: [string[], number[]] = [[], []];
  const left = [...scripts];
  const launch = () =>
    new RunningPart({
      name: "api",
      title: "api",
      command: "/bin/sh",
      args: ["-c", left.shift() ?? "exit 99"],
      env: {},
      logPath: join(directory, "api.log"),
    });
  let part = launch();
  await part.readyLine(20_000);
  let nowMs = 0;
  await keepPart({
    current: (): KeptPart => ({ title: part.spec.title, ended: part.ended }),
    restart: async () => {
      await part.stop(5_000);
      try {
        part = launch();
        await part.readyLine(20_000);
      } catch (error) {
        await part.stop(5_000);
        throw error;
      }
    },
    onNote: (note) => notes.push(note),
    isStopping: () => left.length === 0 && part.isEnded,
    sleep: async (ms) => {
      pauses.push(ms);
      nowMs += ms;
    },
    nowMs: () => nowMs,
  });
  return { notes, pauses };
}

const FAILS = "echo no database >&2; exit 3";
const DIES = "echo '{}' >&3; exit 4";

test("a part that fails to start is tried again each time, after longer pauses", async () => {
  const { notes, pauses } = await kept([DIES, FAILS, FAILS, FAILS, FAILS, DIES]);
  assert.deepEqual(pauses, [500, 1000, 2000, 4000, 8000]);
  assert.equal(notes.filter((note) => note.startsWith("the api exited with code 3")).length, 4);
  assert.ok(
    notes.some((note) => note.includes("no database")),
    notes.join("\n"),
  );
  assert.ok(notes.includes("the api is running again"));
});

test("a part that dies each time it is ready also gets longer pauses", async () => {
  const { pauses } = await kept([DIES, DIES, DIES, DIES]);
  assert.deepEqual(pauses, [500, 1000, 2000]);
});
