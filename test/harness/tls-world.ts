/**
 * A TLS server in a namespace outside: `tls-world.ts ADDRESS PORT CERT KEY BYTES`. It answers a line with BYTES bytes that begin with the
 * line, and closes.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:tls";

const [address = "", port = "", cert = "", key = "", bytes = ""] = process.argv.slice(2);

createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) => {
  socket.on("error", () => undefined);
  socket.once("data", (line: Buffer) => {
    socket.end(Buffer.concat([line, Buffer.alloc(Number(bytes) - line.length, "x")]));
  });
}).listen(Number(port), address, () => console.log("ready"));
