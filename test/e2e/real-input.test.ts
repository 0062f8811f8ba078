import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { debianImage } from "../fixtures/debian-image.ts";
import { exec, gather } from "../harness/exec.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

let stack: Stack;
let image: string;
const sandboxId = "debian";
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(120) });

const idle = { args: ["sleep", "infinity"] };

before(async () => {
  stack = await Stack.start({ PADDOCK_DEFAULT_MEMORY_BYTES: String(512 << 20) });
  image = (await stack.importImage(await debianImage())).imageId;
  const containers = [
    { containerId: "server", image, process: idle },
    { containerId: "client", image, process: idle },
  ];
  await stack.client.sandboxes.runSandbox({ ...id(), sandboxId, spec: { containers } }, soon());
});
after(() => stack?.[Symbol.asyncDispose]());

test("a Python script reads stdin, uses two threads and exits 7", async () => {
  const script = [
    "import sys, threading",
    "lines = sys.stdin.read().split()",
    "sums = [0, 0]",
    "def add(part):",
    "    for value in lines[part::2]: sums[part] += int(value)",
    "threads = [threading.Thread(target=add, args=(part,)) for part in (0, 1)]",
    "[thread.start() for thread in threads]",
    "[thread.join() for thread in threads]",
    "print(sum(sums), len(lines))",
    "print('done', file=sys.stderr)",
    "sys.exit(7)",
  ].join("\n");
  const stdin = Array.from({ length: 1000 }, (_, index) => index).join("\n");
  const done = await exec(stack.client, ["python3", "-c", script], {
    sandboxId,
    containerId: "server",
    stdin,
  });
  assert.equal(done.stdout, "499500 1000\n");
  assert.equal(done.stderr, "done\n");
  assert.equal(done.status.code, 7);
});

test("two containers of a sandbox communicate over loopback and do not see each other's files and processes", async () => {
  const server = [
    "import socket",
    "s = socket.create_server(('127.0.0.1', 4711))",
    "print('listening', flush=True)",
    "c, _ = s.accept()",
    "c.sendall(c.recv(100).upper())",
    "c.close()",
  ].join("\n");
  const call = stack.client.processes.exec(soon());
  await call.write({
    message: {
      case: "start",
      value: {
        sandboxId,
        containerId: "server",
        execId: "server-1",
        process: { args: ["python3", "-c", server] },
      },
    },
  });
  const listening = Promise.withResolvers<void>();
  const served = gather(
    (async function* () {
      for await (const response of call) {
        if (response.output?.output.case === "chunk") listening.resolve();
        yield response;
      }
    })(),
  );
  await Promise.race([listening.promise, served]);
  const client =
    "import socket; c = socket.create_connection(('127.0.0.1', 4711)); c.sendall(b'over loopback'); print(c.recv(100).decode())";
  const answer = await exec(stack.client, ["python3", "-c", client], { sandboxId, containerId: "client" });
  assert.equal(answer.stdout, "OVER LOOPBACK\n");
  assert.equal((await served).status.code, 0);

  await exec(stack.client, ["touch", "/only-here"], { sandboxId, containerId: "server" });
  const other = await exec(stack.client, ["sh", "-c", "ls /only-here; ps -e -o comm="], {
    sandboxId,
    containerId: "client",
  });
  assert.match(other.stderr, /No such file/);
  assert.equal(other.stdout.split("\n").filter((line) => line === "sleep").length, 1);
});

test("a terminal has the requested size and can be resized", async () => {
  const call = stack.client.processes.exec(soon());
  const script = "stty size; trap 'stty size; exit 0' WINCH; echo waiting; while :; do sleep 0.1; done";
  await call.write({
    message: {
      case: "start",
      value: {
        sandboxId,
        containerId: "client",
        execId: "tty",
        process: {
          args: ["sh", "-c", script],
          terminal: true,
          ttySize: { rows: 33, columns: 101 },
          stdin: true,
        },
      },
    },
  });
  let text = "";
  let resized = false;
  let code: number | undefined;
  for await (const { output } of call) {
    if (output?.output.case === "chunk") text += Buffer.from(output.output.value.data).toString();
    if (output?.output.case === "exited") code = output.output.value.code;
    if (!resized && text.includes("waiting")) {
      resized = true;
      await stack.client.processes.resizeTty({
        sandboxId,
        containerId: "client",
        execId: "tty",
        size: { rows: 50, columns: 132 },
      });
    }
  }
  assert.match(text, /^33 101\r\n/);
  assert.match(text, /50 132\r\n/);
  assert.equal(code, 0);
});

test("layers are merged: the upper layer's script exists, and the files it hides do not", async () => {
  const at = { sandboxId, containerId: "client" };
  const done = await exec(stack.client, ["sh", "-c", "ls /usr/share/doc; ls -d /usr/share/man; hello"], at);
  assert.match(done.stdout, /^README\nhello from debian as uid 0\n$/);
  assert.match(done.stderr, /No such file/);
});
