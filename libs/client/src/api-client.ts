/** The services of an api as typed clients over any transport. */
import { type Client, createClient } from "@connectrpc/connect";
import {
  ContainerService,
  EventService,
  FileService,
  ImageService,
  NodeService,
  ProcessService,
  SandboxService,
  SystemService,
  VolumeService,
} from "@paddock/protocol";
import { type ApiClientOptions, safeTransport } from "./safe-transport.ts";

/**
 * The services of an api. Methods fail with `PaddockError`s.
 *
 * A unary call gets a request id if its request has an empty one, a deadline if its options have none, and is tried up to five
 * times while the api is unavailable. A stream has no deadline by default. It ends when `options.signal` is aborted; leaving its
 * loop early does not end the call.
 */
export type ApiClient = {
  readonly sandboxes: Client<typeof SandboxService>;
  readonly containers: Client<typeof ContainerService>;
  readonly processes: Client<typeof ProcessService>;
  readonly events: Client<typeof EventService>;
  readonly files: Client<typeof FileService>;
  readonly images: Client<typeof ImageService>;
  readonly nodes: Client<typeof NodeService>;
  readonly volumes: Client<typeof VolumeService>;
  readonly system: Client<typeof SystemService>;
};

/** A client of the api behind `options.transport`. It holds no resources of its own. */
export function createApiClient(options: ApiClientOptions): ApiClient {
  const safe = safeTransport(options);
  return {
    sandboxes: createClient(SandboxService, safe),
    containers: createClient(ContainerService, safe),
    processes: createClient(ProcessService, safe),
    events: createClient(EventService, safe),
    files: createClient(FileService, safe),
    images: createClient(ImageService, safe),
    nodes: createClient(NodeService, safe),
    volumes: createClient(VolumeService, safe),
    system: createClient(SystemService, safe),
  };
}
