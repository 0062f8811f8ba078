/** Directories of the host in containers, with a guest that tries to leave them. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { exec } from "../harness/exec.ts";
import { hostSnapshot } from "../harness/host-snapshot.ts";
import { machinesOf } from "../harness/machines.ts";
import { runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";
import { vmIds } from "../harness/vm-of.ts";

const OWNER = 64_971;
const sandboxId = "dev";

const base = realpathSync(mkdtempSync(join(tmpdir(), "host-directories-")));
const [allowed, outside] = [join(base, "allowed"), join(base, "outside")];
const [project, docs] = [join(allowed, "project"), join(allowed, "docs")];
let stack: Stack;
let image: string;
let untouched: string[];

const mount = (path: string, destination: string, readOnly = false) =>
  ({ destination, readOnly, source: { case: "hostDirectory", value: { path } } }) as const;
const shell = (script: string) =>
  exec(stack.client, ["sh", "-c", script], { sandboxId, containerId: "c1", deadline: inSeconds(60) });
/** Root of the guest with every means to get at the file system. */
const hostile = (script: string) =>
  exec(stack.client, ["sh", "-c", script], {
    sandboxId,
    containerId: "c1",
    deadline: inSeconds(60),
    process: {
      capabilities: {
        names: ["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER"],
      },
      seccompUnconfined: true,
    },
  });
const reads = async (path: string) => (await shell(`cat ${path}`)).stdout;
/** Processes of virtiofsd below the stack's state. */
const servers = (): string[] =>
  machinesOf(stack.stateDirectory).filter(
    (pid) => readFileSync(`/proc/${pid}/comm`, "utf8") === "virtiofsd\n",
  );

before(async () => {
  for (const each of [join(project, "sub"), docs, outside]) mkdirSync(each, { recursive: true });
  chmodSync(base, 0o711);
  writeFileSync(join(outside, "secret"), "secret of the host\n");
  writeFileSync(join(docs, "manual"), "read me\n");
  writeFileSync(join(project, "source"), "v1\n");
  writeFileSync(join(project, "build.sh"), "tr a-z A-Z <source >result && mkdir -p out && cp result out/\n");
  symlinkSync("../../outside/secret", join(project, "relative"));
  symlinkSync(join(outside, "secret"), join(project, "absolute"));
  symlinkSync("../outside", join(allowed, "link"));
  for (const each of ["", "sub", "source", "build.sh"]) chownSync(join(project, each), OWNER, OWNER);
  chownSync(docs, OWNER, OWNER);
  stack = await Stack.start({ PADDOCK_HOST_DIRECTORIES: allowed });
  image = await stack.tinyImage();
  untouched = hostSnapshot(stack.stateDirectory);
  await runIdle(stack, sandboxId, {
    mounts: [mount(project, "/src"), mount(docs, "/docs", true)],
  });
});

after(async () => {
  await stack?.[Symbol.asyncDispose]();
  rmSync(base, { recursive: true, force: true });
});

test("a project that is edited outside is built inside, and the result belongs to the directory's owner", async () => {
  const built = await shell("cd /src && sh -e build.sh && cat out/result && stat -c %u:%g result");
  assert.equal(built.stdout, "V1\n0:0\n", built.stderr);
  assert.equal(readFileSync(join(project, "out/result"), "utf8"), "V1\n");
  assert.deepEqual(
    [statSync(join(project, "result")).uid, statSync(join(project, "out")).gid],
    [OWNER, OWNER],
  );
  writeFileSync(join(project, "source"), "version two\n");
  const again = await shell(
    "cd /src && until grep -q two source; do sleep 0.1; done; sh -e build.sh; cat out/result",
  );
  assert.equal(again.stdout, "VERSION TWO\n");
  renameSync(join(project, "result"), join(project, "renamed"));
  assert.equal(
    (await shell("until [ -e /src/renamed ]; do sleep 0.1; done; cat /src/renamed")).stdout,
    "VERSION TWO\n",
  );
});

test("a read-only directory is read and not written, whatever its owner may do", async () => {
  assert.equal(await reads("/docs/manual"), "read me\n");
  const written = await hostile(`
    echo x >/docs/manual; rm /docs/manual; touch /docs/new
    mount -o remount,rw /docs && touch /docs/again
    mkdir -p /tmp/own && mount -t virtiofs host1 /tmp/own && cat /tmp/own/manual && touch /tmp/own/new`);
  assert.match(written.stdout, /^read me$/m, written.stderr);
  assert.match(written.stderr, /Read-only file system/);
  assert.deepEqual(readdirSync(docs), ["manual"]);
  assert.equal(readFileSync(join(docs, "manual"), "utf8"), "read me\n");
  for (const pid of servers()) {
    const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8").trim().split("\n");
    assert.equal(mounts.length, 1, "a server sees its directory and nothing else");
    assert.match(
      mounts[0] ?? "",
      mounts[0]?.includes(` ${docs} / `) ? / ro,nosuid,nodev/ : / rw,nosuid,nodev/,
    );
  }
});

test("directories outside, and links to them, are refused before any change", async () => {
  const before = hostSnapshot(stack.stateDirectory);
  const refusals: [string, string][] = [
    [outside, "PATH_NOT_ALLOWED"],
    ["/", "PATH_NOT_ALLOWED"],
    [`${allowed}-other`, "PATH_NOT_ALLOWED"],
    [join(allowed, "link"), "PATH_NOT_ALLOWED"],
    [`${allowed}/../outside`, "INVALID_FIELD"],
    [join(allowed, "none"), "FILE_NOT_FOUND"],
  ];
  for (const [path, reason] of refusals)
    await assert.rejects(
      stack.client.sandboxes.createSandbox(
        {
          requestId: randomUUID(),
          sandboxId: "refused",
          spec: { containers: [{ containerId: "c1", image, mounts: [mount(path, "/src")] }] },
        },
        { deadline: inSeconds(30) },
      ),
      { reason },
      path,
    );
  const added = stack.client.containers.createContainer({
    requestId: randomUUID(),
    sandboxId,
    spec: { containerId: "c2", image, mounts: [mount(allowed, "/src")] },
  });
  await assert.rejects(added, { reason: "WRONG_STATE" });
  assert.deepEqual(hostSnapshot(stack.stateDirectory), before);
});

test("a guest does not leave the directory by links, parents, devices, or a directory that is moved outside", async () => {
  const { stdout, stderr } = await hostile(`cd /src
    cat relative absolute ../outside/secret /src/../../outside/secret ${outside}/secret
    ln -s ${outside}/secret own; cat own; ln -s ../../outside/secret up; cat up
    ln ../outside/secret hard; ln relative hard2; cat hard2
    mknod zero c 1 5; mknod disk b 254 0; head -c 1 zero; head -c 1 disk
    cp /bin/busybox su && chmod 4755 su && stat -c %a su`);
  assert.doesNotMatch(stdout, /secret of the host/);
  assert.equal(stdout, "4755\n", stderr);
  assert.ok(!readdirSync(project).includes("zero") && !readdirSync(project).includes("disk"));
  const moving = hostile(`cd /src/sub && echo here >here && until [ ! -e /src/sub ]; do sleep 0.1; done
    cat ../secret ../../outside/secret; cat here; ls ..; echo into >../planted`);
  await until(() => readdirSync(join(project, "sub")).length > 0, "the guest is in the directory");
  renameSync(join(project, "sub"), join(outside, "sub"));
  const moved = await moving;
  assert.doesNotMatch(moved.stdout, /secret/);
  assert.deepEqual(readdirSync(outside).sort(), ["secret", "sub"]);
  assert.deepEqual(readdirSync(join(outside, "sub")), ["here"]);
});

test("a directory that takes the shared one's place is not what the guest sees", async () => {
  const aside = join(allowed, "aside");
  renameSync(project, aside);
  symlinkSync("../outside", project);
  try {
    assert.equal(await reads("/src/source"), "version two\n");
    assert.equal((await shell("ls /src")).stdout.includes("secret"), false);
  } finally {
    rmSync(project);
    renameSync(aside, project);
  }
});

test("a directory is still there after kill -9 of the daemon, and after a stop and a start", async () => {
  const running = servers();
  assert.equal(running.length, 4, "two for each share");
  await stack.killNode();
  assert.equal(readFileSync(join(project, "source"), "utf8"), "version two\n");
  await stack.startNode();
  assert.deepEqual(servers(), running);
  assert.equal((await shell("echo three >/src/source; cat /src/source")).stdout, "three\n");
  const options = { deadline: inSeconds(60) };
  await stack.client.sandboxes.stopSandbox({ requestId: randomUUID(), sandboxId }, options);
  assert.deepEqual(servers(), []);
  await stack.client.sandboxes.startSandbox({ requestId: randomUUID(), sandboxId }, options);
  assert.equal(await reads("/src/source"), "three\n");
});

test("a sandbox whose virtiofsd was killed says so, is repaired by a stop and a start, and is deleted with nothing left", async () => {
  for (const pid of servers()) process.kill(Number(pid), "SIGKILL");
  let detail = "";
  await until(async () => {
    const { sandbox } = await stack.client.sandboxes.getSandbox({ sandboxId });
    detail = sandbox?.status?.health?.detail ?? "";
    return detail !== "";
  }, "the sandbox is unhealthy");
  const options = { deadline: inSeconds(60) };
  // It never ends: the kernel of the guest waits for the server.
  await shell("ls /src </dev/null >/dev/null 2>&1 &");
  await stack.client.sandboxes.stopSandbox(
    { requestId: randomUUID(), sandboxId, grace: { seconds: 1n } },
    options,
  );
  await stack.client.sandboxes.startSandbox({ requestId: randomUUID(), sandboxId }, options);
  assert.equal(await reads("/src/source"), "three\n");
  for (const pid of servers()) process.kill(Number(pid), "SIGKILL");
  assert.match(detail, /^the host directory .* is no longer served/);
  await stack.client.sandboxes.deleteSandbox(
    { requestId: randomUUID(), sandboxId, force: true },
    { deadline: inSeconds(60) },
  );
  assert.deepEqual(servers(), []);
  assert.deepEqual(vmIds(stack.stateDirectory).size, 0);
  assert.deepEqual(hostSnapshot(stack.stateDirectory), untouched);
});
