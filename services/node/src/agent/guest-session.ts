/**
 * One HTTP/2 session with a guest's agent, on a socket after the handshake.
 *
 * The peer is hostile, so everything it could make the daemon keep is bounded here: memory of the session, headers, settings,
 * outstanding pings, invalid frames, streams. A guest may also send many frames that carry nothing (empty DATA, SETTINGS, PING,
 * WINDOW_UPDATE, headers), which take time from other sandboxes. `FloodWatch` compares the bytes on the wire with the bytes of
 * bodies, and ends a session whose surplus framing does not explain.
 *
 * A session does not reconnect. `agent-link.ts` does.
 */
import * as http2 from "node:http2";
import type { Socket } from "node:net";
import { PaddockError } from "@paddock/domain";
import { settlesWithin } from "@paddock/lifecycle";
import { CallLanes, LANE_HEADER, MAX_FILE_STREAMS } from "./call-lanes.ts";
import { FloodWatch } from "./flood-watch.ts";
import { guestText } from "./guest-text.ts";

/** The peer's name within a session. It is never looked up. */
export const AUTHORITY = "http://guest";

/** Bytes of one response stream that may be in flight: the memory that a stalled reader takes. */
const STREAM_WINDOW_BYTES = 512 * 1024;
/** Bytes of all response streams that may be in flight. All file streams with readers that have stopped leave 8 MiB of it. */
const SESSION_WINDOW_BYTES = 8 * 1024 * 1024 + MAX_FILE_STREAMS * STREAM_WINDOW_BYTES;
const NGHTTP2_NO_ERROR = 0;

const SESSION_OPTIONS: Omit<http2.ClientSessionOptions, "createConnection"> = {
  maxSessionMemory: 16,
  maxSettings: 16,
  maxHeaderListPairs: 64,
  maxOutstandingPings: 4,
  maxReservedRemoteStreams: 0,
  maxSendHeaderBlockLength: 32 * 1024,
  settings: {
    enablePush: false,
    initialWindowSize: STREAM_WINDOW_BYTES,
    maxHeaderListSize: 16 * 1024,
    maxFrameSize: 64 * 1024,
  },
};

/** Why a session has ended. Calls on it fail with `error`. */
export type SessionEnd = { readonly error: PaddockError; readonly byUs: boolean };

export class GuestSession implements AsyncDisposable {
  readonly authority = AUTHORITY;
  /** Settles when the session has ended; never rejects. */
  readonly closed: Promise<SessionEnd>;
  readonly #session: http2.ClientHttp2Session;
  readonly #flood: FloodWatch;
  readonly #lanes = new CallLanes();
  #end: SessionEnd | undefined;

  /** Opens a session on a socket after the handshake. */
  static async open(socket: Socket): Promise<GuestSession> {
    const session = new GuestSession(socket);
    // Node passes the bytes already in the socket to HTTP/2 in a later tick, and throws there if the session has ended by then.
    await new Promise<void>((resolve) => setImmediate(resolve));
    return session;
  }

  private constructor(socket: Socket) {
    this.#session = http2.connect(AUTHORITY, { ...SESSION_OPTIONS, createConnection: () => socket });
    this.#flood = new FloodWatch(
      () => socket.bytesRead,
      (bytes) => this.#finish(`sent ${bytes} bytes that carry nothing`),
    );
    const { promise, resolve } = Promise.withResolvers<SessionEnd>();
    this.closed = promise;
    this.#session.once("connect", () => this.#session.setLocalWindowSize(SESSION_WINDOW_BYTES));
    this.#session.on("error", (error) =>
      this.#finish(`broke the protocol: ${guestText(error.message)}`, error),
    );
    this.#session.on("goaway", (code) => {
      if (code !== NGHTTP2_NO_ERROR) this.#finish(`ended the session with HTTP/2 error ${code}`);
    });
    this.#session.once("close", () => {
      this.#flood.stop();
      this.#end ??= lost("closed the link");
      resolve(this.#end);
    });
  }

  /** Why the session accepts no more calls; undefined while it does. Set before `closed` settles. */
  get end(): SessionEnd | undefined {
    if (this.#end === undefined && (this.#session.destroyed || this.#session.closed))
      this.#end = lost("closed the link");
    return this.#end;
  }

  /** Opens a stream, as connect-node expects of a session. */
  async request(
    method: string,
    path: string,
    headers: http2.OutgoingHttpHeaders,
    options: Omit<http2.ClientSessionRequestOptions, "signal">,
  ): Promise<http2.ClientHttp2Stream> {
    if (this.end !== undefined) throw this.end.error;
    const { [LANE_HEADER]: lane, ...sent } = headers;
    const leave = this.#lanes.enter(path, lane);
    let stream: http2.ClientHttp2Stream;
    try {
      stream = this.#session.request({ ...sent, ":method": method, ":path": path }, options);
    } catch (error) {
      leave();
      throw error;
    }
    this.#flood.callBegan(stream);
    let answered = false;
    stream.once("response", () => {
      answered = true;
    });
    stream.once("close", () => {
      leave();
      this.#flood.callEnded(stream);
      // connect-node does not treat a stream without an answer and without an error code as an error, and would wait forever.
      if (!answered) setImmediate(() => stream.emit("error", this.end?.error ?? unanswered(path)));
    });
    stream.on("error", () => undefined);
    stream.on("data", (chunk: Buffer) => this.#flood.bodyBytes(chunk.length));
    stream.pause();
    return stream;
  }

  /** Whether the peer answers a ping in time, in ms. HTTP/2 answers pings by itself, so this is not a call to the agent. */
  async answersPing(patienceMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    if (this.end !== undefined || !this.#session.ping((error) => resolve(error === null))) return false;
    return (await settlesWithin(promise, patienceMs)) && (await promise);
  }

  /** Part of the interface that connect-node expects; a keepalive would use it. */
  notifyResponseByteRead(): void {}

  /** Ends the session and fails its calls with `error`. */
  close(error: PaddockError): void {
    this.#end ??= { error, byUs: true };
    this.#session.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close(new PaddockError("GUEST_UNAVAILABLE", "the node closed the link to the guest"));
    await this.closed;
  }

  #finish(what: string, cause?: unknown): void {
    this.#end ??= lost(what, cause);
    this.#session.destroy();
  }
}

const unanswered = (path: string): PaddockError =>
  new PaddockError("GUEST_FAILED", `the guest's agent ended the call ${path} without an answer`);

const lost = (what: string, cause?: unknown): SessionEnd => ({
  byUs: false,
  error: new PaddockError("GUEST_UNAVAILABLE", `the guest ${what}`, { cause }),
});
