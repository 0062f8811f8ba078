import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { HostPorts } from "./host-ports.ts";

const tcp = { hostAddress: "", protocol: "tcp" as const, hostPort: 0, guestPort: 80 };

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

test("port 0 finds a free port for each protocol, and a port belongs to one owner until it is released", async () => {
  await using ports = new HostPorts();
  const reserved = await ports.reserve("a", [tcp, { ...tcp, protocol: "udp" }], "127.0.0.1");
  assert.ok(reserved.every(({ hostPort }) => hostPort > 0));
  await assert.rejects(ports.reserve("b", reserved, "127.0.0.1"), {
    kind: "taken",
    message: /the port is in use/,
  });
  await ports.release("a");
  await ports.release("a");
  assert.deepEqual(await ports.reserve("b", reserved, "127.0.0.1"), reserved);
});

test("when one port is in use, none is reserved", async () => {
  await using ports = new HostPorts();
  const server = createServer();
  const hostPort = await listening(server);
  const [free] = await ports.reserve("a", [tcp], "127.0.0.1");
  assert.ok(free !== undefined);
  await ports.release("a");
  await assert.rejects(ports.reserve("b", [free, { ...tcp, hostPort }], "127.0.0.1"), { kind: "taken" });
  assert.deepEqual(await ports.reserve("c", [free], "127.0.0.1"), [free]);
  server.close();
});

test("an address that the host does not have is refused", async () => {
  await using ports = new HostPorts();
  await assert.rejects(ports.reserve("a", [{ ...tcp, hostAddress: "192.0.2.1" }], "127.0.0.1"), {
    kind: "taken",
    message: /the host does not have the address/,
  });
});

test("a connection that the rules did not translate is forwarded, and each direction ends on its own", async () => {
  await using ports = new HostPorts();
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    // Answers after it has read everything.
    let read = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      read += chunk;
    });
    socket.on("end", () => socket.end(`read ${read}`));
  });
  const guestPort = await listening(server);
  const [port] = await ports.reserve("a", [{ ...tcp, guestPort }], "127.0.0.1");
  const socket = connect({ host: "::1", port: port?.hostPort ?? 0, allowHalfOpen: true });
  socket.end("hello");
  assert.equal(await text(socket), "read hello");
  server.close();
});

test("a connection to a guest that refuses it is reset", async () => {
  await using ports = new HostPorts();
  const server = createServer();
  const guestPort = await listening(server);
  server.close();
  const [port] = await ports.reserve("a", [{ ...tcp, guestPort }], "127.0.0.1");
  const socket = connect({ host: "::1", port: port?.hostPort ?? 0 });
  const [error] = await once(socket, "error");
  assert.equal(error.code, "ECONNRESET");
});

test("a change keeps ports that are already open, and takes effect only when it is committed", async () => {
  await using ports = new HostPorts();
  const [first, second] = await ports.reserve("a", [tcp, tcp], "127.0.0.1");
  assert.ok(first !== undefined && second !== undefined);
  await using change = await ports.change("a", [{ ...first, guestPort: 81 }, tcp], "127.0.0.1");
  const [kept, added] = change.published;
  assert.deepEqual(kept, { ...first, guestPort: 81 });
  assert.ok(added !== undefined && added.hostPort !== second.hostPort);
  await assert.rejects(ports.reserve("b", [second], "127.0.0.1"), { kind: "taken" });
  await change.commit();
  for (const port of [kept, added])
    await assert.rejects(ports.reserve("b", [port], "127.0.0.1"), { kind: "taken" });
  assert.deepEqual(await ports.reserve("b", [second], "127.0.0.1"), [second]);
});

test("a change that is not committed or fails because a port is taken releases its new ports", async () => {
  await using ports = new HostPorts();
  const [own] = await ports.reserve("a", [tcp], "127.0.0.1");
  const [taken] = await ports.reserve("b", [tcp], "127.0.0.1");
  assert.ok(own !== undefined && taken !== undefined);
  await assert.rejects(ports.change("a", [own, taken], "127.0.0.1"), { kind: "taken" });
  await assert.rejects(ports.change("a", [own, own], "127.0.0.1"), { kind: "taken" });
  const change = await ports.change("a", [tcp], "127.0.0.1");
  await change[Symbol.asyncDispose]();
  assert.deepEqual(await ports.reserve("c", change.published, "127.0.0.1"), change.published);
  await assert.rejects(ports.reserve("c", [own], "127.0.0.1"), { kind: "taken" });
});
