import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { newcArchive } from "../../deploy/guest/newc-archive.ts";
import { runBareGuest } from "../harness/bare-guest.ts";

const source = join(import.meta.dirname, "../fixtures/changed-code.c");

test("a vCPU runs code that another vCPU has changed", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "changed-code-"));
  try {
    const program = join(scratch, "program");
    execFileSync("cc", ["-O2", "-static", "-pthread", "-o", program, source]);
    const initramfs = newcArchive([
      { kind: "directory", path: "dev", mode: 0o755 },
      { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
      { kind: "file", path: "init", mode: 0o755, data: readFileSync(program) },
    ]);
    const said = await runBareGuest(initramfs, scratch);
    assert.match(said, /^STALE 0 of 1500$/m, said);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
