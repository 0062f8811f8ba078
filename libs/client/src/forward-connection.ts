/** Carries a connection on this side over PortForward to a port of a sandbox. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";
import { PaddockError } from "@paddock/domain";
import type { PortForwardRequestSchema, PortForwardResponse } from "@paddock/protocol";
import type { ApiClient } from "./api-client.ts";

/** The largest message, in bytes. */
const MAX_DATA_BYTES = 64 * 1024;

/** A connection on this side. */
export interface LocalConnection {
  /** Its bytes, until its end. Throws when it was reset. */
  readonly data: AsyncIterable<Uint8Array>;
  /** Resolves when the connection has taken the bytes, which a slow reader delays. Rejects when it was reset. */
  write(data: Uint8Array): Promise<void>;
  /** No more bytes follow; the other direction continues. */
  end(): void;
  /** Ends both directions at once. Nothing happens when they have ended. */
  reset(): void;
  /** Aborts when the connection was reset, or closed before both directions had ended. */
  readonly lost: AbortSignal;
}

/** A port of a sandbox. */
export type SandboxPort = { readonly sandboxId: string; readonly port: number };

/** How a connection was over: both sides ended it, or one of them reset it. `reason` is in the words of the guest. */
export type ConnectionEnd =
  | { readonly kind: "ended" }
  | { readonly kind: "reset"; readonly by: "local" }
  | { readonly kind: "reset"; readonly by: "sandbox"; readonly reason: string };

/**
 * Connects `local` with a port of a sandbox until the connection is over. Each direction ends by itself, a reset of one side resets
 * the other, and a slow reader on one side slows the other. At most one message of each direction is kept here. Resets `local` and
 * throws a `PaddockError` when the call fails: PORT_REFUSED, TOO_MANY, and those of a sandbox or node that is lost.
 */
export async function forwardConnection(
  client: Pick<ApiClient, "sandboxes">,
  target: SandboxPort,
  local: LocalConnection,
  options: CallOptions = {},
): Promise<ConnectionEnd> {
  const ending = new AbortController();
  let isLost = false;
  const lost = () => {
    isLost = true;
    ending.abort();
  };
  // A write may wait for a reader that never reads.
  const reset = () => local.reset();
  options.signal?.addEventListener("abort", reset, { once: true });
  const signals = [ending.signal, local.lost, ...(options.signal ? [options.signal] : [])];
  const call = { ...options, signal: AbortSignal.any(signals) };
  try {
    const responses = client.sandboxes.portForward(requests(target, local, lost), call);
    return await passOn(responses, local, lost);
  } catch (error) {
    local.reset();
    if (isLost || local.lost.aborted) return { kind: "reset", by: "local" };
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", reset);
    ending.abort();
  }
}

type Request = MessageInitShape<typeof PortForwardRequestSchema>;

async function* requests(
  { sandboxId, port }: SandboxPort,
  local: LocalConnection,
  lost: () => void,
): AsyncGenerator<Request> {
  yield { message: { case: "start", value: { sandboxId, port } } };
  try {
    for await (const data of local.data)
      for (let at = 0; at < data.length; at += MAX_DATA_BYTES)
        yield { message: { case: "data", value: data.subarray(at, at + MAX_DATA_BYTES) } };
  } catch (error) {
    lost();
    throw error;
  }
  yield { message: { case: "eof", value: {} } };
}

async function passOn(
  responses: AsyncIterable<PortForwardResponse>,
  local: LocalConnection,
  lost: () => void,
): Promise<ConnectionEnd> {
  let hasEnded = false;
  for await (const { message } of responses) {
    switch (message.case) {
      case "data":
        await local.write(message.value).catch((error: unknown) => {
          lost();
          throw error;
        });
        break;
      case "eof":
        hasEnded = true;
        local.end();
        break;
      case "reset":
        local.reset();
        return { kind: "reset", by: "sandbox", reason: message.value.reason };
      case "connected":
      case undefined:
        break;
      default:
        message satisfies never;
    }
  }
  if (hasEnded) return { kind: "ended" };
  throw new PaddockError("UNAVAILABLE", "the api ended the connection before its end");
}
