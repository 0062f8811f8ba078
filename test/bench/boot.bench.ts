/**
 * What Paddock adds to the boot of a VM.
 *
 * The floor is a bare QEMU that this process starts, from its start to the agent's first READY. It has the same kernel,
 * initramfs, kernel arguments and size, and no device except the agent's port. It is compared with a client's whole
 * CreateSandbox: api, placement, NATS, journal, cgroup, privileges, boot, handshake, identity. They run alternately, one at a
 * time.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kernelCommandLine } from "@paddock/qemu";
import { type AgentClient, connectAgent } from "../../services/node/src/agent/connect-agent.ts";
import { repositoryRoot } from "../harness/child-service.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { median, report } from "./report.ts";

const SAMPLES = 9;
const LIMIT = 1.25;
const MEMORY_MIB = 256;
const guest = join(repositoryRoot, "deploy/guest/out");
const { kernel, initramfs } = JSON.parse(readFileSync(join(guest, "manifest.json"), "utf8")) as Record<
  string,
  string
>;

function bareQemu(socket: string): ChildProcess {
  return spawn(
    "qemu-system-x86_64",
    [
      ...["-nodefaults", "-no-user-config", "-display", "none", "-M", "q35", "-accel", "tcg", "-cpu", "max"],
      ...[
        "-smp",
        "1",
        "-m",
        `${MEMORY_MIB}M`,
        "-kernel",
        join(guest, kernel ?? ""),
        "-initrd",
        join(guest, initramfs ?? ""),
      ],
      ...["-append", kernelCommandLine(), "-device", "virtio-serial-pci"],
      ...["-chardev", `socket,id=agent,path=${socket},server=on,wait=off`],
      ...["-device", "virtserialport,chardev=agent,name=paddock.agent.0"],
    ],
    { stdio: "ignore" },
  );
}

/** Resolves when the file exists. */
function appearance(directory: string, name: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(directory, () => check());
    const check = () => {
      if (!existsSync(join(directory, name))) return;
      watcher.close();
      resolve();
    };
    check();
  });
}

/** Connects. Retries if refused: QEMU binds its socket a moment before it listens. */
async function connectWhenListening(socketPath: string): Promise<AgentClient> {
  for (let left = 1000; ; left--) {
    try {
      return await connectAgent({ socketPath, deadlineMs: 60_000 });
    } catch (error) {
      const refused =
        error instanceof Error && (error.cause as NodeJS.ErrnoException | undefined)?.code === "ECONNREFUSED";
      if (!refused || left === 0) throw error;
    }
  }
}

async function bootBare(): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "bare-"));
  const begun = performance.now();
  const qemu = bareQemu(join(directory, "agent.sock"));
  const exited = once(qemu, "exit");
  try {
    await appearance(directory, "agent.sock");
    await using _agent = await connectWhenListening(join(directory, "agent.sock"));
    return performance.now() - begun;
  } finally {
    qemu.kill("SIGKILL");
    await exited;
    rmSync(directory, { recursive: true, force: true });
  }
}

async function bootByPaddock(stack: Stack): Promise<number> {
  const sandboxId = `boot-${randomUUID()}`;
  const resources = { vcpus: 1, memoryBytes: BigInt(MEMORY_MIB) << 20n };
  const begun = performance.now();
  await stack.client.sandboxes.createSandbox(
    { requestId: randomUUID(), sandboxId, spec: { resources } },
    { deadline: inSeconds(90) },
  );
  const took = performance.now() - begun;
  await stack.client.sandboxes.deleteSandbox(
    { requestId: randomUUID(), sandboxId, force: true },
    { deadline: inSeconds(60) },
  );
  return took;
}

await using stack = await Stack.start();
const bare: number[] = [];
const created: number[] = [];
await bootBare();
await bootByPaddock(stack);
for (let left = SAMPLES; left > 0; left--) {
  bare.push(await bootBare());
  created.push(await bootByPaddock(stack));
}
report(
  "boot",
  { accelerator: "software emulation (TCG)", guest: `1 vCPU, ${MEMORY_MIB} MiB` },
  [
    { name: "bare QEMU to agent ready", unit: "ms", samples: bare },
    { name: "CreateSandbox to answer", unit: "ms", samples: created },
  ],
  [{ name: "boot_ratio", value: median(created) / median(bare), limit: LIMIT }],
);
