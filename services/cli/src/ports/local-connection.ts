import type { Socket } from "node:net";
import type { LocalConnection } from "@paddock/client";

/** A socket of this host as a connection to forward. The socket must have been accepted with `allowHalfOpen`. */
export function localConnection(socket: Socket): LocalConnection {
  const lost = new AbortController();
  const hasEnded = () => socket.writableFinished && socket.readableEnded;
  // The iterator and the writes report errors; without a listener Node.js would end the process over them.
  socket.on("error", () => {});
  socket.once("close", () => {
    if (!hasEnded()) lost.abort();
  });
  socket.setNoDelay(true);
  return {
    // A socket whose client sends no more may still be written to.
    data: socket.iterator({ destroyOnReturn: false }),
    write: (data) =>
      new Promise((resolve, reject) => {
        socket.write(data, (error) => (error ? reject(error) : resolve()));
      }),
    end: () => void socket.end(),
    reset: () => {
      if (!hasEnded()) socket.resetAndDestroy();
    },
    lost: lost.signal,
  };
}
