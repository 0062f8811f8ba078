/**
 * Carries a call that streams in both directions between a client and a node.
 *
 *   client --requests--> pump --write (awaits the node's transport)--> node
 *   client <--yield (awaits the client's transport)-- here <--responses-- node
 *
 * Each direction keeps one message here at most; the rest waits in the flow control windows, and so each side is slowed by the other.
 */
import type { DuplexCall } from "@paddock/rpc";

export type DuplexProxy<Request, Response> = {
  readonly call: DuplexCall<Request, Response>;
  /** Whether the end of the client's requests ends those to the node. */
  readonly passesEnd: boolean;
  /** The error for the client when the call to the node fails. */
  readonly failure: (error: unknown) => unknown;
};

/** The responses for the client. `first` is the request that was read already, `rest` are the later ones. */
export async function* proxyDuplex<Request, Response>(
  first: Request,
  rest: AsyncIterator<Request>,
  { call, passesEnd, failure }: DuplexProxy<Request, Response>,
): AsyncGenerator<Response> {
  let refused: { readonly error: unknown } | undefined;
  const pump = async () => {
    await call.write(first);
    for (;;) {
      const next = await readNext(rest);
      if ("error" in next) {
        refused = next;
        call.cancel();
        return;
      }
      if (next.done) break;
      await call.write(next.value);
    }
    if (passesEnd) call.end();
  };
  // A write fails when the call has ended, and then the responses say why.
  pump().catch(() => {});
  try {
    yield* call;
  } catch (error) {
    throw refused === undefined ? failure(error) : refused.error;
  }
}

type Next<T> =
  | { readonly done: true }
  | { readonly done: false; readonly value: T }
  | { readonly error: unknown };

async function readNext<T>(requests: AsyncIterator<T>): Promise<Next<T>> {
  try {
    const { done, value } = await requests.next();
    return done ? { done: true } : { done: false, value };
  } catch (error) {
    return { error };
  }
}
