/**
 * Carries a process's input and output between a client and its node, for both Exec and Attach.
 *
 *   client --requests--> pump --write (awaits the node's transport)--> node
 *   client <--yield (awaits the client's transport)-- here <--responses-- node
 *
 * Each direction holds at most one message here; the rest waits in the flow control windows and then in the guest's ring. The
 * request side to the node stays open after the client's half-close, because acks for the client still use it.
 */
import type { ProcessOutput } from "@paddock/protocol";
import type { DuplexCall } from "@paddock/rpc";
import { OutputAcks, type TakenOffsets } from "./output-acks.ts";

export type ProcessProxy<Request, Response> = {
  readonly call: DuplexCall<Request | AckRequest, Response>;
  /** Whether the client acknowledges output itself. */
  readonly explicitAck: boolean;
  /** Converts the error of a failed call to the node for the client. */
  readonly failure: (error: unknown) => unknown;
};

/** The responses for the client. `first` is the request that was read already, `rest` are the later ones. */
export async function* proxyProcess<
  Request,
  Response extends { readonly output?: ProcessOutput | undefined },
>(
  first: Request,
  rest: AsyncIterator<Request>,
  { call, explicitAck, failure }: ProcessProxy<Request, Response>,
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
    if (explicitAck) call.end();
  };
  // A write fails when the call has ended, and then the responses contain the reason.
  pump().catch(() => {});
  using acks = explicitAck ? undefined : new OutputAcks((taken) => call.write(ackRequest(taken)));
  try {
    for await (const response of call) {
      if (response.output === undefined) continue;
      yield response;
      acks?.taken(response.output);
    }
  } catch (error) {
    throw refused === undefined ? failure(error) : refused.error;
  }
}

type AckRequest = ReturnType<typeof ackRequest>;

/** An ack as a request of Exec and of Attach. */
const ackRequest = (taken: TakenOffsets) => ({
  message: { case: "input" as const, value: { input: { case: "ack" as const, value: taken } } },
});

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
