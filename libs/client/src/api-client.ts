/** The services of an api as typed clients over any transport. */
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import {
  ContainerService,
  EventService,
  ImageService,
  NodeService,
  ProcessService,
  SandboxService,
  SystemService,
} from "@paddock/protocol";
import { safeTransport } from "./safe-transport.ts";

/** Booting a VM by emulation on a busy host takes its time. */
const CALL_TIMEOUT_MS = 180_000;

/**
 * The services of an api. Methods fail with `PaddockError`s.
 *
 * A unary call gets a request id when its request has an empty one, a deadline when its options name none, and is tried up to
 * five times while the api is unavailable. A stream has no deadline by default. It ends when `options.signal` is aborted; to
 * leave its loop early does not end the call.
 */
export type ApiClient = {
  readonly sandboxes: Client<typeof SandboxService>;
  readonly containers: Client<typeof ContainerService>;
  readonly processes: Client<typeof ProcessService>;
  readonly events: Client<typeof EventService>;
  readonly images: Client<typeof ImageService>;
  readonly nodes: Client<typeof NodeService>;
  readonly system: Client<typeof SystemService>;
};

export type ApiClientOptions = {
  /**
   * Carries the calls, and belongs to the caller. It fails with `ConnectError`s, as those of the Connect packages do, or with
   * `PaddockError`s.
   */
  readonly transport: Transport;
  /** The api's bearer token. */
  readonly token?: string | undefined;
  /** How long a unary call may take when its options do not say, in milliseconds. Default: 3 minutes. */
  readonly timeoutMs?: number | undefined;
  /** Names the program in the request ids that the api logs, such as "cli". Default: "client". */
  readonly requestIdPrefix?: string | undefined;
};

/** A client of the api behind `options.transport`. It holds no resources of its own. */
export function createApiClient(options: ApiClientOptions): ApiClient {
  const { transport, token, timeoutMs = CALL_TIMEOUT_MS, requestIdPrefix } = options;
  const safe = safeTransport({ transport, token, timeoutMs, requestIdPrefix });
  return {
    sandboxes: createClient(SandboxService, safe),
    containers: createClient(ContainerService, safe),
    processes: createClient(ProcessService, safe),
    events: createClient(EventService, safe),
    images: createClient(ImageService, safe),
    nodes: createClient(NodeService, safe),
    system: createClient(SystemService, safe),
  };
}
