/**
 * Carries a process's input and output between a client and its node, for Exec and Attach alike.
 *
 *   client --requests--> pump --write (awaits the node's transport)--> node
 *   client <--yield (awaits the client's transport)-- here <--responses-- node
 *
 * Neither direction holds more than one message here; what waits, waits in the flow control windows and then in the guest's ring.
 * The request side towards the node stays open after the client's half-close, because acks on the client's behalf still travel on it.
 */
import type { ProcessOutput } from "@paddock/protocol";
import type { DuplexCall } from "@paddock/rpc";
import { OutputAcks, type TakenOffsets } from "./output-acks.ts";

export type ProcessProxy<Request, NodeRequest, NodeResponse, Response> = {
  readonly call: DuplexCall<NodeRequest, NodeResponse>;
  readonly toNode: (request: Request) => NodeRequest;
  /** The node's response as the client's, with the output in it. Undefined when the node sent nothing. */
  readonly toClient: (
    response: NodeResponse,
  ) => { readonly response: Response; readonly output: ProcessOutput } | undefined;
  /** An ack as a request to the node; undefined when the client sends its own. */
  readonly ack: ((taken: TakenOffsets) => NodeRequest) | undefined;
  /** What a failure of the call to the node is for the client. */
  readonly failure: (error: unknown) => unknown;
};

/** The responses for the client. `first` is the request that was read already, `rest` are those after it. */
export async function* proxyProcess<Request, NodeRequest, NodeResponse, Response>(
  first: Request,
  rest: AsyncIterator<Request>,
  proxy: ProcessProxy<Request, NodeRequest, NodeResponse, Response>,
): AsyncGenerator<Response> {
  const { call, ack } = proxy;
  let refused: { readonly error: unknown } | undefined;
  const pump = async () => {
    await call.write(proxy.toNode(first));
    for (;;) {
      const next = await readNext(rest);
      if ("error" in next) {
        refused = next;
        call.cancel();
        return;
      }
      if (next.done) break;
      await call.write(proxy.toNode(next.value));
    }
    if (ack === undefined) call.end();
  };
  // A write fails when the call has ended, and then the responses say why.
  pump().catch(() => {});
  using acks = ack && new OutputAcks((taken) => call.write(ack(taken)));
  try {
    for await (const nodeResponse of call) {
      const answer = proxy.toClient(nodeResponse);
      if (answer === undefined) continue;
      yield answer.response;
      acks?.taken(answer.output);
    }
  } catch (error) {
    throw refused === undefined ? proxy.failure(error) : refused.error;
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
