import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { leftBehind, listBefore } from "./left-behind.ts";

describe("a test run leaves behind", () => {
  const freshDirectory = () => mkdtempSync(join(tmpdir(), "run-"));

  test("nothing when it started nothing", (t) => {
    const directory = freshDirectory();
    t.after(() => rmSync(directory, { recursive: true }));
    assert.deepEqual(leftBehind(directory, listBefore()), []);
  });

  test("a process in a session of its own that has the run's directory in its environment", async (t) => {
    const directory = freshDirectory();
    t.after(() => rmSync(directory, { recursive: true }));
    const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore", env: { RUN: directory } });
    await once(child, "spawn");
    const found = leftBehind(directory, listBefore());
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.deepEqual(
      found.map(({ what, pid }) => ({ what, pid })),
      [{ what: "process", pid: child.pid }],
    );
    assert.deepEqual(leftBehind(directory, listBefore()), []);
  });

  test("a file in the run's directory", (t) => {
    const directory = freshDirectory();
    t.after(() => rmSync(directory, { recursive: true }));
    writeFileSync(join(directory, "disk.img"), "");
    assert.deepEqual(leftBehind(directory, listBefore()), [
      { what: "file", name: join(directory, "disk.img") },
    ]);
  });
});
