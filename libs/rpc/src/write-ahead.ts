/**
 * Lets small responses of a stream leave together.
 *
 * grpc-js takes one message of a stream at a time: the next is handed over when the socket has taken the one before, so four short
 * messages cost four rounds of the event loop, four system calls and four packets at every hop. Here a message counts as taken
 * at once while no more than `WRITE_AHEAD_BYTES` of the call are under way; HTTP/2 then writes what gathered in one go. Beyond that a
 * message counts as taken when the socket has taken it, as before, so a slow client still slows the handler.
 *
 * Messages come encoded, because only then is their size known here; those of other services (health, reflection) do not, and wait.
 */
import {
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";

/**
 * Bytes of one call that may be on their way to the socket while the handler goes on. What a client's transport has taken counts as
 * acknowledged, and the agent holds half a ring (32 KiB at least) behind that, so these bytes are not lost with a connection.
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

  /** Nothing that comes in is of interest here. */
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
