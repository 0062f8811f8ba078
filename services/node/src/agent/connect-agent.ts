/** Opens the link to the agent of one guest: socket, handshake, HTTP/2, typed clients. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type Client, createClient } from "@connectrpc/connect";
import { PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import { GuestSession } from "./guest-session.ts";
import { guestTransport } from "./guest-transport.ts";
import { type HandshakeOptions, shakeHands } from "./handshake.ts";
import type { StealReader } from "./vm-deadline.ts";

/**
 * The services of one agent, on one connection. Calls take `{signal, timeoutMs}` and fail with `PaddockError`. A call on a
 * connection that has ended fails at once with the error of `closed`.
 */
export type AgentClient = Pick<GuestSession, "answersPing" | "closed" | "end" | "close"> &
  AsyncDisposable & {
    readonly sandbox: Client<typeof agentpb.SandboxService>;
    readonly network: Client<typeof agentpb.NetworkService>;
    readonly containers: Client<typeof agentpb.ContainerService>;
    readonly processes: Client<typeof agentpb.ProcessService>;
    readonly files: Client<typeof agentpb.FileService>;
    /** Steal time of the VM, for deadlines within streams. */
    readonly steal: StealReader;
  };

export type ConnectAgentOptions = Omit<HandshakeOptions, "signal"> & {
  /** The unix socket of QEMU's chardev. */
  readonly socketPath: string;
  /** Timeout of the whole attempt, in ms. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Steal time of the VM: it does not count in the deadlines of calls. Not set means none. */
  readonly steal?: StealReader | undefined;
};

/**
 * Connects to the agent. May be called while the VM still boots: it answers as soon as the agent does. Throws
 * GUEST_UNAVAILABLE (no socket, no READY in time, flood) or the signal's reason.
 */
export async function connectAgent(options: ConnectAgentOptions): Promise<AgentClient> {
  const { socketPath, deadlineMs } = options;
  const deadline = AbortSignal.timeout(deadlineMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal]);
  let socket: Socket | undefined;
  try {
    socket = await open(socketPath, signal);
    await shakeHands(socket, { ...options, signal });
    return agentClient(await GuestSession.open(socket), options.steal ?? (() => 0));
  } catch (cause) {
    socket?.destroy();
    options.signal?.throwIfAborted();
    if (cause instanceof PaddockError) throw cause;
    const what = deadline.aborted
      ? `the guest did not answer within ${deadlineMs} ms`
      : `the VM has no link to its guest (${errorCode(cause)})`;
    throw new PaddockError("GUEST_UNAVAILABLE", what, { cause });
  }
}

/** The system's name of an error. Unlike its text, it contains no path. */
const errorCode = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown error";

async function open(path: string, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ path });
  try {
    await once(socket, "connect", { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function agentClient(session: GuestSession, steal: StealReader): AgentClient {
  const transport = guestTransport(session, steal);
  return {
    sandbox: createClient(agentpb.SandboxService, transport),
    network: createClient(agentpb.NetworkService, transport),
    containers: createClient(agentpb.ContainerService, transport),
    processes: createClient(agentpb.ProcessService, transport),
    files: createClient(agentpb.FileService, transport),
    steal,
    answersPing: (patienceMs) => session.answersPing(patienceMs),
    closed: session.closed,
    get end() {
      return session.end;
    },
    close: (error) => session.close(error),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}
