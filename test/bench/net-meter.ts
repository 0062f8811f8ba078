/** Throughput and round-trip time of one TCP connection. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A connection slowly reaches its full rate; this time is not counted, in milliseconds. */
const WARM_UP_MS = 300;
const WINDOW_MS = 1500;
const CHUNK = Buffer.alloc(256 * 1024);
const ROUND_TRIPS = 300;

const MIB = 2 ** 20;

/** Tries until somebody listens: a guest says nothing when its servers are ready. */
export async function dial(host: string, port: number): Promise<Socket> {
  for (let left = 200; ; left--) {
    const socket = connect({ host, port, noDelay: true });
    try {
      await once(socket, "connect");
      return socket;
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Bytes that `count` has counted in the window, as MiB/s. */
async function rateOf(count: () => number): Promise<number> {
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  await wait(WARM_UP_MS);
  const [bytes, begun] = [count(), performance.now()];
  await wait(WINDOW_MS);
  return ((count() - bytes) / MIB / (performance.now() - begun)) * 1000;
}

/** What the peer sends, in MiB/s. */
export async function receivedRate(socket: Socket): Promise<number> {
  await once(socket, "readable");
  socket.on("data", () => undefined);
  try {
    return await rateOf(() => socket.bytesRead);
  } finally {
    socket.destroy();
  }
}

/** What the peer takes, in MiB/s. */
export async function sentRate(socket: Socket): Promise<number> {
  const write = () => {
    while (!socket.destroyed && socket.write(CHUNK));
  };
  socket.on("drain", write);
  write();
  try {
    return await rateOf(() => socket.bytesWritten - socket.writableLength);
  } finally {
    socket.destroy();
  }
}

/** Milliseconds until the peer's answer to one byte has come, the median of many. */
export async function roundTrip(socket: Socket): Promise<number> {
  const took: number[] = [];
  for (let left = ROUND_TRIPS; left > 0; left--) {
    const begun = performance.now();
    socket.write("x");
    await once(socket, "data");
    took.push(performance.now() - begun);
  }
  socket.destroy();
  return took.sort((a, b) => a - b)[ROUND_TRIPS >> 1] ?? Number.NaN;
}
