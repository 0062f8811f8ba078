import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { tinyImage } from "../fixtures/tiny-image.ts";
import { CommandLine, PADDOCK } from "../harness/command-line.ts";
import { runIdle } from "../harness/sandbox.ts";
import { Stack } from "../harness/stack.ts";

let stack: Stack;
let paddock: CommandLine;

before(async () => {
  stack = await Stack.start();
  paddock = new CommandLine(stack);
  await stack.importImage(await tinyImage());
  await runIdle(stack, "box");
});
after(async () => {
  await stack?.[Symbol.asyncDispose]();
  paddock?.[Symbol.dispose]();
});

const run: CommandLine["run"] = (args, stdin) => paddock.run(args, stdin);

test("run returns the command's output and exit code, and --rm leaves nothing", async () => {
  const done = await run(
    ["run", "--rm", "-i", "paddock/tiny", "--", "sh", "-c", "tr a-z A-Z; echo err >&2; exit 7"],
    "hello\n",
  );
  assert.equal(done.stdout, "HELLO\n");
  assert.match(done.stderr, /err\n/);
  assert.equal(done.code, 7);
  const listed = await run(["ps", "-a", "-o", "json"]);
  assert.equal(JSON.parse(listed.stdout).length, 1);
});

test("a container with a read-only root writes to its tmpfs alone, which has its size and mode, as /dev/shm has", async () => {
  const script = `
    touch /file 2>/dev/null || echo read-only
    echo hello >/scratch/file; stat -c %a /scratch; stat -f -c %b /scratch /dev/shm
    dd if=/dev/zero of=/scratch/large bs=64k count=64 2>/dev/null || echo full`;
  const places = ["--read-only", "--tmpfs", "/scratch:size=2m,mode=0700", "--shm-size", "8m"];
  const done = await run(["run", "--rm", ...places, "paddock/tiny", "--", "sh", "-c", script]);
  assert.equal(done.stdout, "read-only\n700\n512\n2048\nfull\n", done.stderr);
});

test("exec exits with the command's code, 126, 127, or 128 and the signal, and with 125 when the api is unreachable", async () => {
  assert.equal((await run(["exec", "box", "--", "sh", "-c", "exit 9"])).code, 9);
  assert.equal((await run(["exec", "box", "--", "no-such-command"])).code, 127);
  assert.equal((await run(["exec", "box", "--", "/etc/passwd"])).code, 126);
  assert.equal((await run(["exec", "box", "--", "sh", "-c", "kill -TERM $$"])).code, 143);
  const away = await run(["--api", "127.0.0.1:1", "exec", "box", "--", "true"]);
  assert.equal(away.code, 125);
  assert.match(away.stderr, /^error: /m);
  assert.match(away.stderr, /^hint: /m);
});

test("errors show what failed, why, and the request id; a mistyped command suggests the right one", async () => {
  const missing = await run(["inspect", "nobody"]);
  assert.notEqual(missing.code, 0);
  assert.match(missing.stderr, /^error: .*nobody/m);
  const typo = await run(["exce", "box"]);
  assert.equal(typo.code, 2);
  assert.match(typo.stderr, /exec/);
});

test("stats, top, logs, inspect, image ls, node ls and version print data on stdout", async () => {
  const stats = await run(["stats", "--no-stream", "-o", "json", "box"]);
  assert.equal(stats.code, 0, stats.stderr);
  assert.ok(JSON.parse(stats.stdout));
  assert.match((await run(["top", "box"])).stdout, /sleep/);
  assert.equal((await run(["logs", "box"])).code, 0);
  assert.match((await run(["inspect", "box"])).stdout, /"sandboxId": "box"/);
  assert.match((await run(["image", "ls"])).stdout, /paddock\/tiny/);
  assert.match((await run(["node", "ls"])).stdout, /n1/);
  const { server } = JSON.parse((await run(["version", "-o", "json"])).stdout);
  assert.match(server.version, /^\d+\.\d+\.\d+/);
  assert.deepEqual(server.apiVersions, ["paddock.v1"]);
});

test("exec -it gets a terminal of the caller's size and follows a resize", async () => {
  const script = `
import fcntl, os, pty, select, signal, struct, sys, termios, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
size = lambda rows, columns: fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
size(40, 111)
text, resized, deadline = b"", False, time.time() + 60
while time.time() < deadline:
    if select.select([fd], [], [], 1)[0]:
        try: data = os.read(fd, 65536)
        except OSError: break
        if not data: break
        text += data
    if not resized and b"waiting" in text:
        resized = True
        size(50, 132)
        os.kill(pid, signal.SIGWINCH)
sys.stdout.write(text.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
  const inner =
    "trap 'stty size; exit 4' WINCH; sleep 1; stty size; echo waiting; while :; do sleep 0.2; done";
  const child = spawn("python3", ["-c", script, PADDOCK, "exec", "-it", "box", "--", "sh", "-c", inner], {
    env: { ...paddock.env, TERM: "xterm" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (data: Buffer) => {
    text += data.toString();
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.match(text, /40 111/);
  assert.match(text, /50 132/);
  assert.equal(code, 4);
});
