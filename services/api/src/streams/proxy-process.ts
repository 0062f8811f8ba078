/**
 * Carries a process's input and output between a client and its node, for both Exec and Attach. The request side to the node stays
 * open after the client's half-close, because acks for the client still use it.
 */
import type { ProcessOutput } from "@paddock/protocol";
import type { DuplexCall } from "@paddock/rpc";
import { OutputAcks, type TakenOffsets } from "./output-acks.ts";
import { proxyDuplex } from "./proxy-duplex.ts";

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
  using acks = explicitAck ? undefined : new OutputAcks((taken) => call.write(ackRequest(taken)));
  for await (const response of proxyDuplex(first, rest, { call, passesEnd: explicitAck, failure })) {
    if (response.output === undefined) continue;
    yield response;
    acks?.taken(response.output);
  }
}

type AckRequest = ReturnType<typeof ackRequest>;

/** An ack as a request of Exec and of Attach. */
const ackRequest = (taken: TakenOffsets) => ({
  message: { case: "input" as const, value: { input: { case: "ack" as const, value: taken } } },
});
