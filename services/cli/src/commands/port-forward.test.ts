import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { SandboxService } from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli, startCli } from "../testing/run-in-process.ts";

const connected = { message: { case: "connected" as const, value: { address: "127.0.0.1" } } };
const eof = { message: { case: "eof" as const, value: {} } };

/** An api with a sandbox "web": port 80 answers in upper case, 81 resets, nothing listens on the others. */
async function servedApi(): Promise<FakeApi> {
  const api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  api.duplex(SandboxService.method.portForward, async ({ requests, send }) => {
    for await (const { message } of requests) {
      if (message.case === "start") {
        const { port, sandboxId } = message.value;
        if (port === 81) return send({ message: { case: "reset", value: { reason: "gone\u001b[2J" } } });
        if (port !== 80)
          throw new PaddockError("PORT_REFUSED", `nothing listens on port ${port} in sandbox ${sandboxId}`);
        send(connected);
      }
      if (message.case === "data") {
        const value = Buffer.from(Buffer.from(message.value).toString().toUpperCase());
        send({ message: { case: "data", value } });
      }
      if (message.case === "eof") return send(eof);
    }
  });
  return api;
}

/** The command, listening, with the ports that it took in order. */
async function forwarding(api: FakeApi, words: readonly string[]) {
  const command = startCli(api, ["port-forward", "web", ...words]);
  await command.shows("\n");
  const ports = [...command.out().matchAll(/from \S+:(\d+) ->/g)].map(([, port]) => Number(port));
  return { command, ports };
}

async function dial(port: number | undefined): Promise<Socket> {
  const socket = connect({ port: port ?? 0, host: "127.0.0.1", allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}

/** Resolves when the socket was closed: with the code of the error, if there was one. */
async function closed(socket: Socket): Promise<string | undefined> {
  let code: string | undefined;
  socket.on("error", (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  socket.resume();
  await new Promise((resolve) => socket.once("close", resolve));
  return code;
}

test("several ports and connections are carried at once, to the end of each direction, until a signal", async () => {
  await using api = await servedApi();
  const { command, ports } = await forwarding(api, [":80", "0:80"]);
  assert.match(command.out(), /^(Forwarding from 127\.0\.0\.1:\d+ -> 80\n){2}$/);
  const sockets = await Promise.all([ports[0], ports[1], ports[1]].map(dial));
  for (const socket of sockets) socket.end("hello");
  assert.deepEqual(await Promise.all(sockets.map(text)), ["HELLO", "HELLO", "HELLO"]);
  const open = await dial(ports[0]);
  command.signals.emit("SIGINT");
  assert.equal(await command.exit, 130);
  assert.equal(await closed(open), "ECONNRESET");
  await assert.rejects(dial(ports[0]), { code: "ECONNREFUSED" });
  assert.equal(command.err(), "");
});

test("the failure of a connection resets it and is printed, and the command continues", async () => {
  await using api = await servedApi();
  const { command, ports } = await forwarding(api, [":80", ":82", ":81"]);
  assert.equal(await closed(await dial(ports[1])), "ECONNRESET");
  await command.shows("nothing listens on port 82 in sandbox web");
  assert.equal(await closed(await dial(ports[2])), "ECONNRESET");
  await command.shows("a connection to port 81 was reset: gone\\x1b[2J");
  const socket = await dial(ports[0]);
  socket.end("still here");
  assert.equal(await text(socket), "STILL HERE");
  command.signals.emit("SIGTERM");
  assert.equal(await command.exit, 143);
});

test("-o json prints the ports on one line", async () => {
  await using api = await servedApi();
  const { command } = await forwarding(api, [":80", "-o", "json"]);
  const { ports, ...rest } = JSON.parse(command.out());
  assert.deepEqual(rest, { sandboxId: "web" });
  const [{ localPort, ...first }] = ports;
  assert.deepEqual([ports.length, first], [1, { address: "127.0.0.1", remotePort: 80 }]);
  const socket = await dial(localPort);
  socket.end("json");
  assert.equal(await text(socket), "JSON");
  command.signals.emit("SIGINT");
  await command.exit;
});

test("a local port that cannot be had, a mistake and an unknown sandbox end the command, and nothing is listened on", async () => {
  await using api = await servedApi();
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = taken.address();
  const port = typeof address === "object" ? address?.port : 0;
  const busy = await cli(api, ["port-forward", "web", ":80", `${port}:80`]);
  taken.close();
  assert.equal(busy.code, 1);
  assert.match(busy.err, /cannot listen on port \d+ of 127\.0\.0\.1: it is in use/);
  assert.equal(busy.out, "");
  assert.equal((await cli(api, ["port-forward", "web", "80:http"])).code, 2);
  assert.equal((await cli(api, ["port-forward", "--address", "somewhere", "web", "80"])).code, 2);
  assert.equal((await cli(api, ["port-forward", "web"])).code, 2);
  const missing = await cli(api, ["port-forward", "gone", ":80"]);
  assert.deepEqual([missing.code, missing.out], [1, ""]);
});
