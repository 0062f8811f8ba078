/** A connection to a port of a guest, on one connection to its agent. */
import { PaddockError } from "@paddock/domain";
import type { AgentClient } from "./connect-agent.ts";
import { type PortEvent, PortFlow } from "./port-flow.ts";
import { VmDeadline } from "./vm-deadline.ts";

/** How long the guest may take to answer, in ms: it dials for 10 s itself. */
const DIAL_MS = 15_000;

/** Created once: an error captures a stack, which takes longer than everything else at the end of a short call. */
const OVER = new PaddockError("CANCELLED", "the call is over");

/** What a client sends: bytes, or that no more follow. The end of the inputs means the same. */
export type PortInput = { readonly kind: "data"; readonly data: Uint8Array } | { readonly kind: "eof" };

export type PortCallOptions = {
  readonly inputs: AsyncIterable<PortInput>;
  /** Resets the connection. */
  readonly signal: AbortSignal;
  /** How long the guest may take to connect, in ms of its VM. Default: 15 s. */
  readonly dialMs?: number;
};

/** What a connection needs of an agent. */
type PortAgent = Pick<AgentClient, "steal"> & {
  readonly network: Pick<AgentClient["network"], "portForward">;
};

/**
 * Connects to a port and carries the connection. The events end when both directions have, or after a reset. To leave them early
 * resets the connection. Throws PORT_REFUSED, TOO_MANY, DEADLINE, GUEST_FAILED, the errors of the link and of `inputs`, and
 * INVALID_FIELD for data after `eof`.
 */
export async function* forwardPort(
  agent: PortAgent,
  port: number,
  { inputs, signal: outer, dialMs = DIAL_MS }: PortCallOptions,
): AsyncGenerator<PortEvent> {
  const ending = new AbortController();
  const signal = AbortSignal.any([outer, ending.signal]);
  const flow = new PortFlow();
  const fail = (error: unknown) => ending.abort(error);
  try {
    void readGuest(agent, flow, { port, dialMs, signal }).catch(fail);
    void readClient(inputs, flow, signal).catch(fail);
    yield* flow.events(signal);
  } finally {
    ending.abort(OVER);
  }
}

async function readGuest(
  agent: PortAgent,
  flow: PortFlow,
  { port, dialMs, signal }: { readonly port: number; readonly dialMs: number; readonly signal: AbortSignal },
): Promise<void> {
  using deadline = new VmDeadline(dialMs, agent.steal, signal);
  try {
    const options = { signal: deadline.signal };
    for await (const response of agent.network.portForward(requests(port, flow, deadline.signal), options)) {
      flow.take(response);
      if (flow.isConnected) deadline[Symbol.dispose]();
    }
  } catch (error) {
    if (!deadline.isOver) throw error;
    throw new PaddockError("DEADLINE", `the guest did not connect to port ${port} within ${dialMs} ms`);
  }
  flow.close();
}

async function* requests(port: number, flow: PortFlow, signal: AbortSignal) {
  yield { message: { case: "start", value: { port } } } as const;
  yield* flow.messages(signal);
}

async function readClient(
  inputs: AsyncIterable<PortInput>,
  flow: PortFlow,
  signal: AbortSignal,
): Promise<void> {
  for await (const input of inputs) {
    if (input.kind === "data") await flow.offer(input.data, signal);
    else flow.end();
  }
  flow.end();
}
