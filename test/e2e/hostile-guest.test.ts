import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { ServerHttp2Stream } from "node:http2";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { PaddockError } from "@paddock/domain";
import { SandboxState } from "@paddock/protocol";
import { exec } from "../harness/exec.ts";
import {
  type Attack,
  behindHandshake,
  flood,
  frame,
  HostileAgent,
  inAnswers,
} from "../harness/hostile-agent.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";
import { vmOf } from "../harness/vm-of.ts";

const MIB = 1024 * 1024;
/** More than the attacks cost the daemon, much less than they send. */
const BOUND_BYTES = 200 * MIB;

const noise = randomBytes(MIB);
const SETTINGS = frame(4, 0, 0);
const many = (one: Buffer): Buffer => Buffer.concat(Array.from({ length: 1000 }, () => one));
const grpc = (stream: ServerHttp2Stream, body: Buffer) => {
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" });
  stream.write(body);
};

const BEFORE_HANDSHAKE: Attack[] = [
  { name: "hangs up", run: (socket) => socket.destroy() },
  { name: "endless noise", run: (socket) => flood(socket, () => noise) },
  {
    name: "an endless line",
    run: (socket) => flood(socket, () => Buffer.alloc(MIB, "PADDOCK/1 READY ")),
  },
  {
    name: "endless READY lines with an unknown nonce",
    run: (socket) => flood(socket, () => Buffer.from(`PADDOCK/1 READY ${"0".repeat(32)}\n`.repeat(1000))),
  },
  behindHandshake("noise for HTTP/2", (socket) => flood(socket, () => noise)),
  { name: "silence", run: (socket) => socket.resume() },
];

const BEHIND_HANDSHAKE: Attack[] = [
  behindHandshake("a frame that claims 16 MiB", (socket) => {
    socket.write(SETTINGS);
    flood(socket, () => frame(0, 0, 1, noise, 0xff_ffff));
  }),
  behindHandshake("an endless header block", (socket) => {
    socket.write(Buffer.concat([SETTINGS, frame(1, 0, 1, Buffer.alloc(16, 0x82))]));
    const block = frame(9, 0, 1, Buffer.alloc(16_000, 0x82));
    flood(socket, () => block);
  }),
  behindHandshake("resets of streams that were never opened", (socket) => {
    socket.write(SETTINGS);
    flood(socket, () => many(frame(3, 0, 101, Buffer.from([0, 0, 0, 8]))));
  }),
  behindHandshake("endless GOAWAY frames", (socket) => {
    socket.write(SETTINGS);
    flood(socket, () => many(frame(7, 0, 0, Buffer.alloc(8))));
  }),
  inAnswers("a message that claims 4 GiB", (stream) => {
    grpc(stream, Buffer.concat([Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), noise]));
  }),
  inAnswers("a message that is not protobuf", (stream) => {
    grpc(stream, Buffer.concat([Buffer.from([0, 0, 0, 0x10, 0]), Buffer.alloc(0x1000, 0xff)]));
    stream.end();
  }),
  inAnswers("an unrequested compressed message", (stream) => {
    grpc(stream, Buffer.concat([Buffer.from([1, 0, 0, 0x10, 0]), noise.subarray(0, 0x1000)]));
    stream.end();
  }),
  inAnswers("a reset instead of an answer", (stream) => stream.close(2)),
];

let stack: Stack;
const soon = () => ({ deadline: inSeconds(60) });

before(async () => {
  stack = await Stack.start();
  for (const sandboxId of ["first", "second", "healthy"]) await runIdle(stack, sandboxId);
});
after(() => stack?.[Symbol.asyncDispose]());

const inside = (sandboxId: string) =>
  exec(stack.client, ["cut", "-d ", "-f1,22", "/proc/1/stat"], { sandboxId, containerId: "c1" });

/**
 * Waits until calls reach the guest. A link that broke often is opened again after a pause of seconds, and until then calls to the
 * guest fail within seconds, whether or not the node has already reported the guest as silent.
 */
async function answersAgain(sandboxId: string): Promise<void> {
  const isReached = () =>
    inside(sandboxId).then(
      () => true,
      (error: unknown) => {
        if (error instanceof PaddockError && error.reason === "GUEST_UNAVAILABLE") return false;
        throw error;
      },
    );
  await until(isReached, `calls reach the guest of sandbox ${sandboxId}`);
}

/** A figure of the daemon's memory, in bytes. */
function memory(name: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${stack.nodePid}/status`, "utf8");
  return Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
}

test("hostile bytes from a guest end only its session: the daemon's memory is bounded, other guests work, and the real agent reconnects", async (t) => {
  const lives = new Map<string, string>();
  for (const sandboxId of ["first", "second"]) lives.set(sandboxId, (await inside(sandboxId)).stdout);
  const socketOf = (sandboxId: string) => vmOf(stack.stateDirectory, sandboxId).agentSocket;
  await stack.stopNode();
  {
    await using first = await HostileAgent.start(socketOf("first"), BEFORE_HANDSHAKE);
    await using second = await HostileAgent.start(socketOf("second"), BEHIND_HANDSHAKE);
    await stack.startNode();
    const daemon = stack.nodePid;
    // The peak is measured from here.
    writeFileSync(`/proc/${daemon}/clear_refs`, "5");
    const resting = memory("VmRSS");

    let isOver = false;
    const attacks = Promise.all([first.done, second.done]).then(() => {
      isOver = true;
    });
    let rounds = 0;
    for (; !isOver; rounds++) {
      assert.equal((await inside("healthy")).status.code, 0);
      const { status } = await stack.client.sandboxes.getSandboxStatus({ sandboxId: "first" }, soon());
      assert.equal(status?.state, SandboxState.RUNNING);
      await delay(200);
    }
    await attacks;
    await assert.rejects(
      exec(stack.client, ["true"], { sandboxId: "second", containerId: "c1", deadline: inSeconds(2) }),
      { kind: /unavailable|deadline_exceeded/ },
    );
    const peak = memory("VmHWM");
    t.diagnostic(
      `${first.over.length + second.over.length} attacks, ${rounds} rounds of work beside them, the daemon ${Math.round(resting / MIB)} MiB before, ${Math.round(peak / MIB)} MiB at most`,
    );
    assert.ok(peak - resting < BOUND_BYTES, `the daemon grew by ${peak - resting} bytes`);
  }
  for (const sandboxId of ["first", "second"]) {
    await answersAgain(sandboxId);
    assert.equal((await inside(sandboxId)).stdout, lives.get(sandboxId), "its processes kept running");
  }
  await stack.client.sandboxes.stopSandbox({ requestId: randomUUID(), sandboxId: "second" }, soon());
});

test("a QEMU process under the control of its guest changes nothing on the host, and the daemon continues", async () => {
  const { dir } = vmOf(stack.stateDirectory, "healthy");
  const { gid } = statSync(dir);
  const victim = join(stack.stateDirectory, "victim");
  writeFileSync(victim, "of the host", { mode: 0o600 });
  const before = { names: readdirSync(dir).sort(), victim: statSync(victim) };
  // A process with the VM's user can do the same as a hostile QEMU.
  for (const attempt of [
    "for i in 0 1 2 3; do ln -sf $victim $vm/$i.ext4; ln -sf $victim $vm/$i.ext4.new; done",
    "for i in 1 2 3; do ln -sf $victim $vm/../$i.new; done",
    "for name in qmp agent tty; do ln -sf $victim $vm/$name.sock; done",
    "rm -f $vm/tty.sock; mkfifo $vm/tty.sock; rm -rf $vm/qmp.sock; mkdir $vm/qmp.sock",
    "mv $vm $vm.old; mkdir $vm; chmod 777 $vm",
    "chmod 666 $vm/*.sock $vm/*.ext4",
  ]) {
    const user = [`--reuid=${gid}`, `--regid=${gid}`, "--clear-groups", "--no-new-privs", "--"];
    const env = { PATH: process.env.PATH, vm: dir, victim };
    spawnSync("setpriv", [...user, "sh", "-c", attempt], { env, timeout: 10_000, stdio: "ignore" });
  }
  assert.deepEqual(readdirSync(dir).sort(), before.names);
  const spec = { containerId: "c2", image: await stack.tinyImage(), process: idle };
  await stack.client.containers.createContainer(
    { requestId: randomUUID(), sandboxId: "healthy", spec },
    soon(),
  );
  await stack.stopNode();
  await stack.startNode();
  assert.equal((await inside("healthy")).status.code, 0);
  await stack.client.containers.deleteContainer(
    { requestId: randomUUID(), sandboxId: "healthy", containerId: "c2", force: true },
    soon(),
  );
  assert.deepEqual(readdirSync(dir).sort(), before.names);
  assert.equal(readFileSync(victim, "utf8"), "of the host");
  const { uid, mode, ino } = statSync(victim);
  assert.deepEqual({ uid, mode, ino }, { uid: 0, mode: before.victim.mode, ino: before.victim.ino });
});
