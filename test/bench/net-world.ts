/**
 * The world outside of the bench's network: `net-world.ts ADDRESS` measures each connection that a guest opens to it, and prints the
 * figure on a line. Port 6001 takes what the guest sends, port 6002 measures round trips.
 */
import { createServer, type Socket } from "node:net";
import { receivedRate, roundTrip } from "./net-meter.ts";

const [address = ""] = process.argv.slice(2);

for (const [port, measure] of [
  [6001, receivedRate],
  [6002, roundTrip],
] as const) {
  const serve = async (socket: Socket) => {
    socket.setNoDelay();
    socket.on("error", () => undefined);
    console.log(`figure ${await measure(socket)}`);
  };
  await new Promise<void>((resolve) => createServer(serve).listen(port, address, resolve));
}
console.log("ready");
