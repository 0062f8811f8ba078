import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { leftBehind, listBefore } from "./left-behind.ts";

describe("a test run leaves behind", () => {
  const freshDirectory = () => mkdtempSync(join(tmpdir(), "run-"));
  /** Leftovers except control groups, which concurrent tests create and remove. */
  const found = (directory: string) =>
    leftBehind(directory, listBefore()).filter(({ what }) => what !== "control group");

  test("nothing if it started nothing", (t) => {
    const directory = freshDirectory();
    t.after(() => rmSync(directory, { recursive: true }));
    assert.deepEqual(found(directory), []);
  });

  test("a process in a session of its own that has the run's directory in its environment", async (t) => {
    const directory = freshDirectory();
    t.after(() => rmSync(directory, { recursive: true }));
    const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore", env: { RUN: directory } });
    await once(child, "spawn");
    const things = found(directory);
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.deepEqual(
      things.map(({ what, pid }) => ({ what, pid })),
      [{ what: "process", pid: child.pid }],
    );
    assert.deepEqual(found(directory), []);
  });

  test("a file in the run's directory", (t) => {
    const directory = freshDirectory();
    t.after(() => rmSync(directory, { recursive: true }));
    writeFileSync(join(directory, "disk.img"), "");
    assert.deepEqual(found(directory), [{ what: "file", name: join(directory, "disk.img") }]);
  });

  test("an empty control group, and one with its own process, but not one with only other processes", async (t) => {
    const directory = freshDirectory();
    t.after(() => rmSync(directory, { recursive: true }));
    const before = listBefore();
    const group = freshControlGroup(t);
    const listed = () =>
      leftBehind(directory, before).filter(({ name }) => name.replace(/\/$/, "") === group);
    assert.equal(listed().length, 1);
    await withSleeper(group, { RUN: directory }, () => assert.equal(listed().length, 1));
    await withSleeper(group, {}, () => assert.equal(listed().length, 0));
  });
});

/** An empty control group below one of Paddock's, removed with its parent after the test. */
function freshControlGroup(t: TestContext): string {
  const root = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].find((path) =>
    existsSync(join(path, "cgroup.procs")),
  );
  assert.ok(root, "no hierarchy of control groups is mounted");
  const parent = join(root, `paddock-left-behind-${process.pid}`);
  const group = join(parent, "group");
  mkdirSync(group, { recursive: true });
  t.after(() => {
    rmdirSync(group);
    rmdirSync(parent);
  });
  return group;
}

async function withSleeper(group: string, env: NodeJS.ProcessEnv, body: () => void): Promise<void> {
  const child = spawn("sleep", ["60"], { cwd: "/", stdio: "ignore", env });
  await once(child, "spawn");
  try {
    writeFileSync(join(group, "cgroup.procs"), String(child.pid));
    body();
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
}
