import assert from "node:assert/strict";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { newVmId, vmPaths, vmsDir } from "../vm/vm-paths.ts";
import { ShareServers } from "./share-servers.ts";

const SILENT = { level: "info", debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
/** The owner of the shared directory, and the user of the VM. */
const [OWNER, VM_USER] = [64_971, 64_972];
const PATIENCE_MS = 20_000;

/** A directory of `OWNER`, a VM without a process, and the servers of two daemons. */
async function bed(t: TestContext) {
  const base = realpathSync(mkdtempSync(join(tmpdir(), "shares-")));
  const stateDir = join(base, "state");
  const vm = vmPaths(stateDir, newVmId());
  const path = join(base, "allowed/project");
  for (const each of [vmsDir(stateDir), path, vm.dir]) mkdirSync(each, { recursive: true });
  for (const each of [base, stateDir, vmsDir(stateDir)]) chmodSync(each, 0o711);
  chownSync(path, OWNER, OWNER);
  const options = { allowed: [join(base, "allowed")], stateDir, log: SILENT };
  const servers = new ShareServers(options);
  t.after(async () => {
    await servers.end(vm);
    rmSync(base, { recursive: true, force: true });
  });
  const share = { index: 0, tag: "host0", path, readOnly: true };
  const start = () => servers.start(share, { vm, uid: VM_USER, placement: [] });
  return { servers, later: new ShareServers(options), vm, path, share, start };
}

async function connected(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, "connect");
  return socket;
}

/** The virtiofsd that serves, once it has confined itself. */
async function worker(path: string): Promise<string> {
  const until = performance.now() + PATIENCE_MS;
  while (performance.now() < until) {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8").trim().split("\n");
        const status = readFileSync(`/proc/${pid}/status`, "utf8");
        if (mounts.length === 1 && mounts[0]?.includes(` ${path} / `) && /^Seccomp:\t2$/m.test(status))
          return pid;
      } catch {
        // It has ended.
      }
    }
    await pause(50);
  }
  return assert.fail("no virtiofsd serves");
}

test("a server is the owner's process without privileges, sees only the directory, read-only, and ends with its connection", async (t) => {
  const { servers, vm, path, start } = await bed(t);
  await start();
  const { uid, mode } = lstatSync(join(vm.dir, "share0.sock"));
  assert.deepEqual([uid, mode & 0o777], [VM_USER, 0o600]);
  assert.deepEqual(await servers.running(), [vm.id]);
  const socket = await connected(join(vm.dir, "share0.sock"));
  const pid = await worker(path);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  assert.match(status, new RegExp(`^Uid:\\t${OWNER}\\t${OWNER}\\t${OWNER}\\t${OWNER}$`, "m"));
  assert.match(status, /^Groups:\s*$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  assert.match(status, /^CapBnd:\t0+$/m);
  assert.equal(readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().split(/\s+/).join(), `0,${OWNER},1`);
  assert.match(readFileSync(`/proc/${pid}/mountinfo`, "utf8"), / \/ ro,nosuid,nodev/);
  const ended = servers.ended(vm.id);
  socket.destroy();
  await ended;
  assert.deepEqual(await servers.running(), []);
});

test("a later daemon finds a server, knows when it has ended, and ends one that waits", async (t) => {
  const { later, vm, share, start } = await bed(t);
  await start();
  assert.equal(await later.problem(vm, [share]), undefined);
  assert.match((await later.problem(vm, [share, { ...share, index: 1 }])) ?? "", /no longer served/);
  await later.end(vm);
  assert.deepEqual(await later.running(), []);
  assert.ok(!existsSync(join(vm.dir, "share0.sock")));
  assert.match((await later.problem(vm, [share])) ?? "", /no longer served/);
});

test("a directory that is not allowed is refused before anything is started", async (t) => {
  const { servers, vm, share } = await bed(t);
  const outside = { ...share, path: "/etc" };
  await assert.rejects(servers.check([share, outside]), { reason: "PATH_NOT_ALLOWED" });
  await assert.rejects(servers.start(outside, { vm, uid: VM_USER, placement: [] }), {
    reason: "PATH_NOT_ALLOWED",
  });
  assert.deepEqual(await servers.running(), []);
});
