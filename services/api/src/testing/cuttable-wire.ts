import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A TCP relay that can be cut without a reset, as a host that loses power does. */
export async function cuttableWire(target: string) {
  const [host, port] = target.split(":");
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    sockets.push(near, far);
    for (const each of [near, far]) each.on("error", () => {});
    near.pipe(far).pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  if (bound === null || typeof bound !== "object") throw new Error("the wire has no port");
  return {
    address: `127.0.0.1:${bound.port}`,
    used: () => sockets.length > 0,
    cut: () => {
      server.close();
      for (const each of sockets) each.destroy();
    },
  };
}
