import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { cpuVirtualization, readHostFacts } from "./host-facts.ts";
import { PROOF_LINE, proofInitramfs, proofProgram } from "./proof-guest.ts";
import { chooseAccelerator, proveGuest } from "./prove-accelerator.ts";

const scratch = mkdtempSync(join(tmpdir(), "paddock-proof-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const kernel = join(scratch, "not-a-kernel");
writeFileSync(kernel, "not a kernel");
const options = { binary: "qemu-system-x86_64", qemuVersion: "7.2.22", kernel, privileges: {} };

test("requested emulation needs no proof", async () => {
  const choice = await chooseAccelerator({ ...options, binary: "/nonexistent", preference: "tcg" });
  assert.deepEqual([choice.accelerator, choice.cpuModel], ["tcg", "max"]);
});

test("a guest that cannot start is no proof, and the reason has QEMU's message", async () => {
  const proof = await proveGuest({ ...options, accelerator: "tcg", cpuModel: "max", deadlineMs: 5000 });
  assert.equal(proof.kind, "failed");
  assert.match(proof.kind === "failed" ? proof.why : "", /-cpu max: .*kernel/);
});

test("a silent guest is stuck at the deadline, and is killed", async () => {
  const silent = join(scratch, "silent.sh");
  writeFileSync(silent, "#!/bin/sh\nexec sleep 30\n", { mode: 0o755 });
  const guest = {
    ...options,
    binary: silent,
    accelerator: "kvm",
    cpuModel: "host",
    deadlineMs: 100,
  } as const;
  const startedAt = performance.now();
  assert.equal((await proveGuest(guest)).kind, "stuck");
  assert.ok(performance.now() - startedAt < 5000);
});

test("auto falls back to emulation with the reason, and required KVM fails with it", async () => {
  const failing = { ...options, binary: "false" };
  const choice = await chooseAccelerator({ ...failing, preference: "auto" });
  assert.equal(choice.accelerator, "tcg");
  assert.match(choice.reason, /KVM could not be proven/);
  await assert.rejects(chooseAccelerator({ ...failing, preference: "kvm" }), { kind: "kvm-unusable" });
});

test("a proof is cached for the same kernel and repeated for another", async () => {
  const cacheFile = join(scratch, "cache", "kvm.json");
  const failing = { ...options, binary: "false", preference: "auto", cacheFile } as const;
  const first = await chooseAccelerator(failing);
  const record = readFileSync(cacheFile, "utf8");
  assert.deepEqual(await chooseAccelerator(failing), first);
  assert.equal(readFileSync(cacheFile, "utf8"), record);

  writeFileSync(kernel, "another file that is not a kernel");
  await chooseAccelerator(failing);
  assert.notEqual(readFileSync(cacheFile, "utf8"), record);

  writeFileSync(cacheFile, "{ half a rec");
  assert.equal((await chooseAccelerator(failing)).accelerator, "tcg");
});

test("the proof program is an ELF file with one segment, and its entry point follows the headers", () => {
  const elf = proofProgram();
  assert.equal(elf.toString("latin1", 1, 4), "ELF");
  assert.equal(elf.readBigUInt64LE(24), 0x400000n + 120n, "entry");
  assert.equal(elf.readBigUInt64LE(64 + 32), BigInt(elf.length), "size in the file");
  assert.equal(elf.readUInt16LE(16), 2, "ET_EXEC");
  assert.ok(elf.includes(PROOF_LINE));
  // The line's address is taken relative to the instruction after the lea at entry + 10.
  const after = 120 + 10 + 7;
  const line = after + elf.readInt32LE(120 + 13);
  assert.equal(elf.toString("latin1", line), `${PROOF_LINE}\n`);
});

test("the proof initramfs starts with a file named init and ends with the trailer", () => {
  const archive = proofInitramfs();
  assert.equal(archive.toString("latin1", 0, 6), "070701");
  assert.equal(archive.toString("latin1", 110, 114), "init");
  assert.ok(archive.includes("TRAILER!!!"));
  assert.equal(archive.length % 4, 0);
});

test("hardware virtualization is read from the CPU flags", () => {
  assert.equal(cpuVirtualization("flags\t\t: fpu vmx sse\n"), "vmx");
  assert.equal(cpuVirtualization("flags\t\t: fpu svm\n"), "svm");
  assert.equal(cpuVirtualization("model name\t: vmx\nflags\t\t: fpu avx_vmx\n"), "none");
});

test("host facts list programs that are missing on the PATH", async () => {
  const facts = await readHostFacts("/nonexistent");
  assert.deepEqual(facts.missingPrograms, ["qemu-system-x86_64", "setpriv", "prlimit"]);
  assert.ok(facts.cpus >= 1 && facts.memoryBytes > 0);
});
