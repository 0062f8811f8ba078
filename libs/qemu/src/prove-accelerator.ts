/**
 * Chooses the accelerator and the CPU model, and proves them by running a guest.
 *
 * `auto` chooses KVM only if a guest has run to its end on it, as the same user and with the same filter as sandboxes. The outcome is
 * cached in a file while the boot, QEMU, the kernel and the user stay the same, because a failed proof takes its whole deadline.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Accelerator } from "./machine-spec.ts";
import { type Privileges, privilegePrefix } from "./privileges.ts";
import { readBootId } from "./process-identity.ts";
import { PROOF_LINE, proofInitramfs } from "./proof-guest.ts";
import { QemuError } from "./qemu-error.ts";
import { isJsonObject } from "./qmp-transport.ts";

export interface AcceleratorChoice {
  readonly accelerator: Accelerator;
  /** Value for `MachineSpec.cpuModel`. */
  readonly cpuModel: string;
  /** Why it was chosen, for an operator. */
  readonly reason: string;
}

export interface ChooseOptions {
  readonly preference: "auto" | Accelerator;
  readonly binary: string;
  /** From `checkQemu`, as text; part of the cache key. */
  readonly qemuVersion: string;
  readonly kernel: string;
  readonly privileges: Privileges;
  /** File that caches the proof; absent means no cache. */
  readonly cacheFile?: string;
  /** Deadline for each proof guest. Default 8000. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** On some nested hosts `-cpu host` aborts on an MSR that the outer hypervisor refuses; the second model does without it. */
const KVM_CPU_MODELS = ["host", "host,arch-capabilities=off"] as const;
const TCG_CPU_MODEL = "max";
const DEFAULT_DEADLINE_MS = 8000;

export type GuestProof =
  | { readonly kind: "proven"; readonly elapsedMs: number }
  /** QEMU exited without the proof, because of the CPU model or a permission. */
  | { readonly kind: "failed"; readonly why: string }
  /** The guest was still running without output at the deadline. */
  | { readonly kind: "stuck"; readonly why: string };

function proofArguments(
  accelerator: Accelerator,
  cpuModel: string,
  kernel: string,
  initramfs: string,
): string[] {
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-machine", "q35,sata=off,usb=off,smbus=off,hpet=off,vmport=off,smm=off", "-m", "128M"],
    ...["-accel", accelerator, "-cpu", cpuModel],
    ...["-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1 reboot=t"],
    ...["-chardev", "stdio,id=serial0,signal=off", "-device", "isa-serial,chardev=serial0"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
  ];
}

export interface ProveOptions extends Pick<ChooseOptions, "binary" | "kernel" | "privileges" | "signal"> {
  readonly accelerator: Accelerator;
  readonly cpuModel: string;
  readonly deadlineMs: number;
}

/** Runs one proof guest to its end. A guest that fails is a result, not an exception. */
export async function proveGuest(options: ProveOptions): Promise<GuestProof> {
  const directory = await mkdtemp(join(tmpdir(), "paddock-proof-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const initramfs = join(directory, "initramfs");
  await writeFile(initramfs, proofInitramfs(), { mode: 0o644 });
  // QEMU's user can read it and cannot write here, because a VM may run as the same user.
  await chmod(directory, 0o711);
  const args = proofArguments(options.accelerator, options.cpuModel, options.kernel, initramfs);
  const words = [...privilegePrefix(options.privileges), options.binary, ...args];
  return await runProof(words, options);
}

function oneLine(output: string): string {
  return output
    .replaceAll(/[\s\p{Cc}]+/gu, " ")
    .trim()
    .slice(-500);
}

function runProof(words: readonly string[], options: ProveOptions): Promise<GuestProof> {
  const [command = "", ...args] = words;
  const startedAt = performance.now();
  const limits = { timeout: options.deadlineMs, killSignal: "SIGKILL" as const, maxBuffer: 256 * 1024 };
  const { signal } = options;
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { ...limits, ...(signal ? { signal } : {}) },
      (error, stdout, stderr) => {
        const elapsedMs = Math.round(performance.now() - startedAt);
        if (signal?.aborted === true)
          return reject(new QemuError("aborted", "the accelerator proof was aborted"));
        if (stdout.includes(PROOF_LINE)) return resolve({ kind: "proven", elapsedMs });
        const said = oneLine(stderr) || oneLine(stdout) || "no output";
        const how = `-cpu ${options.cpuModel}`;
        if (error?.killed === true) {
          return resolve({ kind: "stuck", why: `${how}: no output after ${elapsedMs} ms (${said})` });
        }
        resolve({ kind: "failed", why: `${how}: ${said}` });
      },
    );
    child.stdin?.end();
  });
}

async function proveKvm(options: ChooseOptions): Promise<AcceleratorChoice | string> {
  try {
    await stat("/dev/kvm");
  } catch {
    return "/dev/kvm does not exist";
  }
  const reasons: string[] = [];
  for (const cpuModel of KVM_CPU_MODELS) {
    const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
    const proof = await proveGuest({ ...options, accelerator: "kvm", cpuModel, deadlineMs });
    if (proof.kind === "proven") {
      return { accelerator: "kvm", cpuModel, reason: `a guest ran on KVM in ${proof.elapsedMs} ms` };
    }
    reasons.push(proof.why);
    // Another CPU model helps when QEMU aborts, not when the guest hangs.
    if (proof.kind === "stuck") break;
  }
  return reasons.join("; ");
}

async function cacheKey(options: ChooseOptions): Promise<string> {
  const kernel = await stat(options.kernel);
  const user = options.privileges.user;
  const kvm = await stat("/dev/kvm").then(
    (node) => [node.mode, node.uid, node.gid],
    () => [],
  );
  const parts = [
    readBootId(),
    options.binary,
    options.qemuVersion,
    options.kernel,
    kernel.size,
    kernel.mtimeMs,
  ];
  return createHash("sha256")
    .update(JSON.stringify([parts, user ?? null, kvm]))
    .digest("hex");
}

type Proof = AcceleratorChoice | string;

async function readCache(file: string, key: string): Promise<Proof | undefined> {
  try {
    const cached: unknown = JSON.parse(await readFile(file, "utf8"));
    if (!isJsonObject(cached) || cached.key !== key) return undefined;
    const { failure, cpuModel, reason } = cached;
    if (typeof failure === "string") return failure;
    if (typeof cpuModel !== "string" || typeof reason !== "string") return undefined;
    return { accelerator: "kvm", cpuModel, reason: `${reason} (proven earlier in this boot)` };
  } catch {
    return undefined;
  }
}

async function writeCache(file: string, key: string, proof: Proof): Promise<void> {
  const record =
    typeof proof === "string"
      ? { key, failure: proof }
      : { key, cpuModel: proof.cpuModel, reason: proof.reason };
  await mkdir(dirname(file), { recursive: true });
  const aside = `${file}.${process.pid}`;
  await writeFile(aside, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  await rename(aside, file);
}

async function kvmProof(options: ChooseOptions): Promise<Proof> {
  if (options.cacheFile === undefined) return proveKvm(options);
  const key = await cacheKey(options);
  const cached = await readCache(options.cacheFile, key);
  if (cached !== undefined) return cached;
  const proof = await proveKvm(options);
  await writeCache(options.cacheFile, key, proof);
  return proof;
}

/** Throws `kvm-unusable` only when KVM is required. */
export async function chooseAccelerator(options: ChooseOptions): Promise<AcceleratorChoice> {
  const emulated = { accelerator: "tcg", cpuModel: TCG_CPU_MODEL } as const;
  if (options.preference === "tcg") return { ...emulated, reason: "emulation is configured" };
  const proof = await kvmProof(options);
  if (typeof proof !== "string") return proof;
  if (options.preference === "kvm") {
    const hint = "check that QEMU's user may open /dev/kvm, or choose accelerator tcg";
    throw new QemuError("kvm-unusable", `KVM could not be proven: ${proof}; ${hint}`);
  }
  return { ...emulated, reason: `KVM could not be proven: ${proof}` };
}
