/**
 * Connections to ports of a sandbox that has no network, through `paddock port-forward`. PADDOCK_TEST_FORWARD_MIB sets the size of what
 * is carried (1024 is a gigabyte; by emulation that takes minutes).
 */
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { CommandLine, PADDOCK } from "../harness/command-line.ts";
import { serve } from "../harness/container-server.ts";
import { exec } from "../harness/exec.ts";
import { runIdle } from "../harness/sandbox.ts";
import { Stack } from "../harness/stack.ts";

const MIB = 1024 * 1024;
const SIZE_MIB = Number(process.env.PADDOCK_TEST_FORWARD_MIB ?? 4);
const CONNECTIONS = 200;
const WAVE = 20;
/** What a stopped reader may cost a daemon: windows and buffers of its connection, and some noise. */
const STOPPED_READER_BYTES = 12 * MIB;

let stack: Stack;
let paddock: CommandLine;
let forwarding: ChildProcessByStdio<null, Readable, Readable>;
const ports = new Map<number, number>();
let errors = "";

const inBox = (script: string, stdin?: Uint8Array) =>
  exec(stack.client, ["sh", "-c", script], { sandboxId: "box", containerId: "c1", ...(stdin && { stdin }) });

/** 1 MiB, in which no two pieces of 64 KiB are alike. */
const block = Buffer.from(
  Uint32Array.from({ length: MIB / 4 }, (_, index) => (index * 2_654_435_761) >>> 0).buffer,
);

/** The SHA-256 of so many blocks. */
function digest(blocks: number): string {
  const hash = createHash("sha256");
  for (let count = 0; count < blocks; count += 1) hash.update(block);
  return hash.digest("hex");
}

before(async () => {
  stack = await Stack.start({}, { measured: true });
  paddock = new CommandLine(stack);
  await runIdle(stack, "box");
  await inBox("cat >/tmp/block", block);
  // Reads a request to its empty line and answers with the blocks.
  const http = `
    while read -r line && [ "$line" != "$(printf '\\r')" ]; do :; done
    printf 'HTTP/1.0 200 OK\\r\\n\\r\\n'
    i=0; while [ $i -lt ${SIZE_MIB} ]; do cat /tmp/block; i=$((i+1)); done`;
  await inBox("cat >/tmp/http", Buffer.from(http));
  // 80 serves the blocks, 81 bytes without end; 82 says what it got when its client has ended, and 83 says all again.
  const commands = ["sh /tmp/http", "yes", "sha256sum", "cat"];
  for (const [index, command] of commands.entries())
    await serve(stack.client, { sandboxId: "box", containerId: "c1" }, 80 + index, command);
  const words = ["port-forward", "box", "-o", "json", ":80", ":81", ":82", ":83", ":84"];
  forwarding = spawn(PADDOCK, words, { env: paddock.env, stdio: ["ignore", "pipe", "pipe"] });
  forwarding.stderr.on("data", (said: Buffer) => {
    errors += said;
  });
  const [line] = await once(createInterface(forwarding.stdout), "line");
  for (const { localPort, remotePort } of JSON.parse(line).ports) ports.set(remotePort, localPort);
});

after(async () => {
  forwarding?.kill("SIGKILL");
  await stack?.[Symbol.asyncDispose]();
  paddock?.[Symbol.dispose]();
});

async function dial(remotePort: number): Promise<Socket> {
  const port = ports.get(remotePort);
  assert.ok(port !== undefined);
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  // What reads it reports the error; a reset may also come later.
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

test("a body that is downloaded, and one that is uploaded before the answer, arrive unchanged", async () => {
  const [response]: IncomingMessage[] = await once(
    get({ host: "127.0.0.1", port: ports.get(80) }),
    "response",
  );
  assert.ok(response);
  const hash = createHash("sha256");
  for await (const chunk of response) hash.update(chunk);
  const expected = digest(SIZE_MIB);
  assert.equal(hash.digest("hex"), expected);
  const socket = await dial(82);
  for (let count = 0; count < SIZE_MIB; count += 1)
    await new Promise((resolve) => socket.write(block, resolve));
  socket.end();
  assert.equal((await text(socket)).trim(), `${expected}  -`);
});

test(`${CONNECTIONS} connections are open at once, and each gets its own bytes back`, async () => {
  const sockets: Socket[] = [];
  const greet = async (index: number): Promise<Socket> => {
    const socket = await dial(83);
    socket.write(`hello ${index}\n`);
    // A readable socket has the whole answer: a line is one packet.
    await once(socket, "readable");
    assert.equal(String(socket.read()), `hello ${index}\n`);
    return socket;
  };
  // The server has room for ten that it has not accepted.
  while (sockets.length < CONNECTIONS) {
    const indexes = Array.from({ length: WAVE }, (_, offset) => sockets.length + offset);
    sockets.push(...(await Promise.all(indexes.map(greet))));
  }
  const bodyOf = (index: number) => Buffer.alloc(10_000, `${index} `);
  const answers = sockets.map((socket, index) => {
    socket.end(bodyOf(index));
    return buffer(socket);
  });
  for (const [index, answer] of (await Promise.all(answers)).entries())
    assert.ok(bodyOf(index).equals(answer), `connection ${index}`);
});

test("a reader that stops costs the daemons no memory, and other connections continue", async () => {
  const stopped = await dial(81);
  await once(stopped, "readable");
  const before = { api: await stack.figures("api"), node: await stack.figures("node") };
  const socket = await dial(82);
  for (let count = 0; count < 8; count += 1) await new Promise((resolve) => socket.write(block, resolve));
  socket.end();
  assert.equal((await text(socket)).trim(), `${digest(8)}  -`);
  for (const service of ["api", "node"] as const) {
    const grown = (await stack.figures(service)).heldBytes - before[service].heldBytes;
    assert.ok(grown < STOPPED_READER_BYTES, `the ${service} holds ${grown} bytes more`);
  }
  stopped.resetAndDestroy();
  // The reset reaches the server in the guest, which ends.
  const { stdout } = await inBox("while pidof yes >/dev/null; do usleep 50000; done; echo gone");
  assert.equal(stdout, "gone\n");
});

test("a port without a server fails its connection alone, and a stopped sandbox ends those that are open", async () => {
  const refused = await dial(84);
  await assert.rejects(text(refused), { code: "ECONNRESET" });
  const open = await dial(83);
  open.write("x");
  await once(open, "readable");
  const ended = text(open);
  const { code } = await paddock.run(["stop", "-t", "0", "box"]);
  assert.equal(code, 0);
  await ended.catch((error: NodeJS.ErrnoException) => assert.equal(error.code, "ECONNRESET"));
  const late = await dial(83);
  await assert.rejects(text(late), { code: "ECONNRESET" });
  forwarding.kill("SIGINT");
  assert.deepEqual(await once(forwarding, "exit"), [130, null]);
  assert.match(errors, /nothing listens on port 84 in sandbox box/);
  assert.match(errors, /cannot connect to port 83 of sandbox "box": .*the sandbox is stopped/);
});
