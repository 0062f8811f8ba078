import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import {
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { newcArchive } from "../../deploy/guest/newc-archive.ts";
import { repositoryRoot } from "../harness/child-service.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

/** An init that prints a line on the console and then waits forever: x86-64 machine code in a minimal ELF file. */
function silentInit(): Buffer {
  const code = Buffer.from([
    0x48,
    0xc7,
    0xc0,
    0x22,
    0x00,
    0x00,
    0x00, // mov rax, 34 (pause)
    0x0f,
    0x05, // syscall
    0xeb,
    0xf5, // jmp to the start
  ]);
  const header = Buffer.alloc(120);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(2, 16); // executable
  header.writeUInt16LE(62, 18); // x86-64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(0x400078n, 24); // entry
  header.writeBigUInt64LE(64n, 32); // program headers
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  header.writeUInt32LE(1, 64); // load
  header.writeUInt32LE(5, 68); // read, execute
  header.writeBigUInt64LE(0x400000n, 80);
  header.writeBigUInt64LE(0x400000n, 88);
  header.writeBigUInt64LE(BigInt(120 + code.length), 96);
  header.writeBigUInt64LE(BigInt(120 + code.length), 104);
  header.writeBigUInt64LE(0x1000n, 112);
  return Buffer.concat([header, code]);
}

let stack: Stack;
let guest: string;

before(async () => {
  guest = mkdtempSync(join(tmpdir(), "guest-"));
  const real = join(repositoryRoot, "deploy/guest/out");
  const manifest = JSON.parse(readFileSync(join(real, "manifest.json"), "utf8")) as {
    kernel: string;
    files: Record<string, unknown>;
  };
  symlinkSync(join(real, manifest.kernel), join(guest, manifest.kernel));
  const archive = newcArchive([{ kind: "file", path: "init", mode: 0o755, data: silentInit() }]);
  writeFileSync(join(guest, "silent.cpio"), archive);
  const files = {
    ...manifest.files,
    "silent.cpio": { sha256: createHash("sha256").update(archive).digest("hex") },
  };
  writeFileSync(
    join(guest, "manifest.json"),
    JSON.stringify({ ...manifest, initramfs: "silent.cpio", files }),
  );
  stack = await Stack.start({ PADDOCK_GUEST_DIR: guest, PADDOCK_BOOT_TIMEOUT_MS: "8000" });
});
after(async () => {
  await stack?.[Symbol.asyncDispose]();
  rmSync(guest, { recursive: true, force: true });
});

const machines = () =>
  readdirSync("/proc").filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`${stack.stateDirectory}/`)
      );
    } catch {
      return false;
    }
  });
/** A daemon's control groups begin with a hash of its state directory. */
const controlGroups = () => {
  const mark = createHash("sha256").update(stack.stateDirectory).digest("hex").slice(0, 8);
  return globSync(`/sys/fs/cgroup/**/paddock/${mark}-*`);
};
const traces = () => globSync("{sandboxes,vm}/**", { cwd: stack.stateDirectory }).sort();

test("a guest that never answers fails at the boot deadline; its VM is killed and nothing remains", async () => {
  const before = traces();
  const begun = Date.now();
  const failed = await stack.client.sandboxes
    .createSandbox({ requestId: randomUUID(), sandboxId: "silent", spec: {} }, { deadline: inSeconds(60) })
    .then(
      () => undefined,
      (error: unknown) => error,
    );
  assert.ok(failed instanceof PaddockError);
  assert.equal(failed.reason, "GUEST_UNAVAILABLE");
  assert.ok(Date.now() - begun < 40_000, "the creation failed long after the boot deadline");
  assert.deepEqual(machines(), []);
  assert.deepEqual(traces(), before);
  assert.deepEqual(controlGroups(), []);
  await assert.rejects(stack.client.sandboxes.getSandbox({ sandboxId: "silent" }), {
    reason: "SANDBOX_NOT_FOUND",
  });
});

test("the client's own deadline applies, and the VM does not outlive it", async () => {
  await assert.rejects(
    stack.client.sandboxes.createSandbox(
      { requestId: randomUUID(), sandboxId: "hurry", spec: {} },
      { deadline: inSeconds(3) },
    ),
    { kind: "deadline_exceeded" },
  );
  const giveUp = Date.now() + 20_000;
  while (machines().length > 0 && Date.now() < giveUp)
    await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(machines(), []);
});
