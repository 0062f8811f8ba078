import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { perform } from "./host-check.ts";
import { stateCheck } from "./host-checks.ts";

test("a state directory that QEMU's user cannot reach is missing, with a fix, whether it exists or not", async (t) => {
  const above = mkdtempSync(join(tmpdir(), "doctor-"));
  t.after(() => rmSync(above, { recursive: true }));
  const stateDir = join(above, "state");
  const check = () => perform(stateCheck(stateDir));
  for (const make of [() => undefined, () => mkdirSync(stateDir)]) {
    make();
    chmodSync(above, 0o700);
    const closed = await check();
    assert.equal(closed.verdict, "missing");
    assert.match(closed.found, new RegExp(`^QEMU's user \\(uid \\d+\\) cannot enter ${above}$`));
    assert.match(closed.fix ?? "", new RegExp(`^chmod o\\+x ${above}, or choose another --state-dir`));
    chmodSync(above, 0o711);
    assert.equal((await check()).verdict, "ok");
  }
  // The daemon sets the mode of its own directory.
  chmodSync(stateDir, 0o700);
  assert.equal((await check()).verdict, "ok");
});

test("a state directory whose sockets have paths that are too long is missing", async () => {
  const { verdict, found, fix } = await perform(stateCheck(`/${"x".repeat(80)}`));
  assert.equal(verdict, "missing");
  assert.match(found, /has more than \d+ bytes: the paths of sockets below it are too long/);
  assert.match(fix ?? "", /choose a shorter --state-dir/);
});
