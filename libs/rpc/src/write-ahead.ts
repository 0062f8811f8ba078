/**
 * Sends small responses of a stream together.
 *
 * grpc-js accepts one message of a stream at a time: the next follows when the socket has accepted the previous one, so four
 * short messages cost four turns of the event loop, four system calls and four packets at every hop. Here a message counts as
 * accepted at once while at most `WRITE_AHEAD_BYTES` of the call are on their way to the socket, and HTTP/2 writes them together.
 * Beyond that a message counts as accepted when the socket has accepted it, so a slow client still slows the handler.
 *
 * Messages of bound methods arrive encoded, because only then their size is known. Those of other services (health, reflection)
 * do not, and wait.
 */
import {
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";

/**
 * Bytes of one call that may be on their way to the socket while the handler continues. Bytes that a client's transport has
 * accepted count as acknowledged, and the agent keeps half a ring (at least 32 KiB) of them, so a lost connection does not lose
 * them.
 */
export const WRITE_AHEAD_BYTES = 16 * 1024;

/** The interceptor for a grpc-js server. */
export const writeAhead: ServerInterceptor = (_method, call) => new WriteAheadCall(call);

class WriteAheadCall extends ServerInterceptingCall {
  readonly #next: ServerInterceptingCallInterface;
  #underWay = 0;

  constructor(next: ServerInterceptingCallInterface) {
    super(next);
    this.#next = next;
  }

  /** Incoming messages pass unchanged. */
  override start(listener: Parameters<ServerInterceptingCallInterface["start"]>[0]): void {
    this.#next.start(listener);
  }

  override sendMessage(message: unknown, taken: () => void): void {
    const bytes = message instanceof Uint8Array ? message.length : WRITE_AHEAD_BYTES + 1;
    this.#underWay += bytes;
    const ahead = this.#underWay <= WRITE_AHEAD_BYTES;
    super.sendMessage(message, () => {
      this.#underWay -= bytes;
      if (!ahead) taken();
    });
    if (ahead) taken();
  }
}
