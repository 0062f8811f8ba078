import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { exec } from "../harness/exec.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

/** The node's state has its own file system, which the tests can fill. The guest's kernel uses 50 MiB of it. */
const DISK_MIB = 192;
const FLOOR_MIB = 64;
/** Below the floor. Running VMs continue: QEMU stops a VM only when the file of its disk cannot grow. */
const LEFT_MIB = 48;

let stack: Stack;
let mount: string;
let image: string;
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(60) });
const ballast = () => join(mount, "ballast");

before(async () => {
  mount = mkdtempSync(join(tmpdir(), "disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_MIB}m,mode=0711`, "tmpfs", mount]);
  mkdirSync(join(mount, "state"));
  chmodSync(join(mount, "state"), 0o711);
  stack = await Stack.start({
    PADDOCK_STATE_DIR: join(mount, "state"),
    PADDOCK_DISK_FLOOR_BYTES: String(FLOOR_MIB << 20),
  });
  image = await stack.tinyImage();
  await runIdle(stack, "first");
});
after(async () => {
  rmSync(ballast(), { force: true });
  await stack?.[Symbol.asyncDispose]();
  execFileSync("umount", [mount]);
  rmSync(mount, { recursive: true, force: true });
});

/** Leaves less than this free. Writes in small steps, because the guest writes at the same time. */
function fill(freeMib: number): void {
  const step = Buffer.alloc(1 << 20);
  const free = () => {
    const { bavail, bsize } = statfsSync(mount);
    return bavail * bsize;
  };
  while (free() >= freeMib << 20) appendFileSync(ballast(), step);
}

test("below the floor of free space a create and an import are refused with a reason and leave nothing, and sandboxes keep running", async () => {
  fill(LEFT_MIB);
  const traces = () => globSync("state/{sandboxes,images}/**", { cwd: mount }).sort();
  const before = traces();
  const spec = { containers: [{ containerId: "c1", image, process: idle }] };
  await assert.rejects(stack.client.sandboxes.createSandbox({ ...id(), sandboxId: "second", spec }, soon()), {
    reason: "NO_DISK_SPACE",
  });
  const large = join(mount, "..", `${randomUUID()}.tar`);
  try {
    writeFileSync(large, Buffer.alloc(24 << 20, "x"));
    await assert.rejects(stack.importImage(large), { reason: "NO_DISK_SPACE" });
  } finally {
    rmSync(large);
  }
  assert.deepEqual(traces(), before);
  const at = { sandboxId: "first", containerId: "c1" };
  assert.equal((await exec(stack.client, ["echo", "still here"], at)).stdout, "still here\n");
});

test("the same create succeeds when there is space again", async () => {
  rmSync(ballast(), { force: true });
  await runIdle(stack, "second");
  await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId: "second", force: true }, soon());
});
