/**
 * A Paddock for one test file: a NATS server, the api and one node daemon as separate processes, with their own directory and
 * free loopback ports. The api can be killed and started again on the same ports, and the node on the same state.
 */
import { randomUUID } from "node:crypto";
import { chmodSync, createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Image } from "@paddock/protocol";
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
import { GrpcConnection, type GrpcMethods } from "@paddock/rpc";
import { tinyImage } from "../fixtures/tiny-image.ts";
import { type ChildService, repositoryRoot, type StartOptions, startService } from "./child-service.ts";
import { disposeOnSignal } from "./dispose-on-signal.ts";
import { Failpoints } from "./failpoints.ts";
import { machinesOf } from "./machines.ts";
import { type NatsServer, startNats } from "./nats.ts";
import { figuresOf, longestBlockOf, type ServiceFigures } from "./service-figures.ts";

export type PaddockClient = {
  readonly sandboxes: GrpcMethods<typeof SandboxService>;
  readonly containers: GrpcMethods<typeof ContainerService>;
  readonly processes: GrpcMethods<typeof ProcessService>;
  readonly files: GrpcMethods<typeof FileService>;
  readonly events: GrpcMethods<typeof EventService>;
  readonly images: GrpcMethods<typeof ImageService>;
  readonly nodes: GrpcMethods<typeof NodeService>;
  readonly volumes: GrpcMethods<typeof VolumeService>;
  readonly system: GrpcMethods<typeof SystemService>;
};

export type StackOptions = {
  /** Starts the node daemon with failpoints. */
  readonly failpoints?: boolean;
  /** Starts api and node daemon so that `figures` and `longestBlock` work. */
  readonly measured?: boolean;
};

export class Stack implements AsyncDisposable {
  readonly directory: string;
  readonly stateDirectory: string;
  readonly client: PaddockClient;
  /** The failpoints, if the node daemon was started with them. */
  readonly failpoints = new Failpoints(() => this.#node.process);
  readonly #connection: GrpcConnection;
  readonly #nats: NatsServer;
  readonly #apiEnv: Record<string, string>;
  readonly #measured: boolean | undefined;
  readonly #nodeEnv: Record<string, string>;
  readonly #nodeStart: StartOptions;
  readonly #forgetSignals = disposeOnSignal(this);
  #api: ChildService;
  #node: ChildService;

  private constructor({ directory, nats, api, apiEnv, measured, node, nodeEnv, nodeStart }: Parts) {
    this.directory = directory;
    this.stateDirectory = nodeEnv.PADDOCK_STATE_DIR ?? join(directory, "state");
    this.#nats = nats;
    this.#api = api;
    this.#apiEnv = apiEnv;
    this.#measured = measured;
    this.#node = node;
    this.#nodeEnv = nodeEnv;
    this.#nodeStart = nodeStart;
    this.#connection = new GrpcConnection(this.grpcAddress);
    this.client = clientOn(this.#connection);
  }

  /** Starts everything. `nodeEnv` adds to or overrides the node's environment. */
  static async start(nodeEnv: Record<string, string> = {}, options: StackOptions = {}): Promise<Stack> {
    const directory = mkdtempSync(join(tmpdir(), "stack-"));
    chmodSync(directory, 0o711);
    const nats = await startNats(directory);
    const secret = { PADDOCK_STREAM_SECRET_FILE: streamSecretFile(directory) };
    const apiEnv = {
      PADDOCK_NATS_URL: nats.url,
      PADDOCK_API_GRPC_ADDRESS: "127.0.0.1:0",
      PADDOCK_API_HTTP_ADDRESS: "127.0.0.1:0",
      ...secret,
    };
    const { measured } = options;
    const api = await startService("api", apiEnv, join(directory, "api.log"), { measured });
    const env = {
      PADDOCK_NATS_URL: nats.url,
      PADDOCK_NODE_ID: "n1",
      PADDOCK_STATE_DIR: join(directory, "state"),
      PADDOCK_NODE_STREAM_ADDRESS: "127.0.0.1:0",
      PADDOCK_ACCELERATOR: "tcg",
      // Stacks run side by side on one host, and the tests of the network turn it on in a namespace of their own.
      PADDOCK_NETWORK: "off",
      ...secret,
      ...nodeEnv,
    };
    const since = Date.now();
    const main = options.failpoints ? join(repositoryRoot, "test/harness/failpoint-daemon.ts") : undefined;
    const nodeStart = { main, measured };
    const node = await startService("node", env, join(directory, "node.log"), nodeStart);
    const stack = new Stack({ directory, nats, api, apiEnv, measured, node, nodeEnv: env, nodeStart });
    await stack.nodeIsUp(since);
    return stack;
  }

  get grpcAddress(): string {
    return this.#api.ready.grpcAddress ?? "";
  }

  get httpAddress(): string {
    return this.#api.ready.httpAddress ?? "";
  }

  get natsUrl(): string {
    return this.#nats.url;
  }

  get nodePid(): number {
    return this.#node.process.pid ?? 0;
  }

  /** Memory, descriptors and threads of a service. The stack must be `measured`. */
  figures(service: "api" | "node"): Promise<ServiceFigures> {
    return figuresOf((service === "api" ? this.#api : this.#node).process);
  }

  /** The longest block of the node daemon's event loop since the last call, in milliseconds. The stack must be `measured`. */
  longestBlock(): Promise<number> {
    return longestBlockOf(this.#node.process);
  }

  /** Sends SIGKILL to the api. */
  killApi(): Promise<void> {
    return this.#api.kill();
  }

  /** Starts the api again on the same ports. */
  async startApi(): Promise<void> {
    const env = {
      ...this.#apiEnv,
      PADDOCK_API_GRPC_ADDRESS: this.grpcAddress,
      PADDOCK_API_HTTP_ADDRESS: this.httpAddress,
    };
    this.#api = await startService("api", env, join(this.directory, "api.log"), { measured: this.#measured });
    await this.#connection.ready(inSeconds(30));
    await this.nodeIsUp(0);
  }

  /** Sends SIGKILL to the node daemon. Its VMs keep running. */
  killNode(): Promise<void> {
    return this.#node.kill();
  }

  /** Sends SIGTERM to the node daemon. Its VMs keep running. */
  stopNode(): Promise<number | null> {
    return this.#node.stop();
  }

  /** Starts the node daemon again on the same state. `prefix` is a command that executes the rest of its arguments. */
  async startNode(prefix?: readonly string[]): Promise<void> {
    const since = Date.now();
    const options = { ...this.#nodeStart, prefix };
    this.#node = await startService("node", this.#nodeEnv, join(this.directory, "node.log"), options);
    await this.nodeIsUp(since);
  }

  nodeLog(): string {
    return readFileSync(join(this.directory, "node.log"), "utf8");
  }

  /** Imports an archive and returns the image. */
  async importImage(archive: string): Promise<Image> {
    const call = this.client.images.importImage();
    const sent = (async () => {
      await call.write({ message: { case: "start", value: { name: "" } } });
      for await (const data of createReadStream(archive, { highWaterMark: 1 << 19 })) {
        await call.write({ message: { case: "data", value: data } });
      }
      call.end();
    })();
    sent.catch(() => {});
    let image: Image | undefined;
    for await (const { message } of call) if (message.case === "image") image = message.value;
    await sent;
    if (!image) throw new Error(`the import of ${basename(archive)} ended without an image`);
    return image;
  }

  /** The name of a small image with a shell, imported on first use. */
  async tinyImage(): Promise<string> {
    this.#tiny ??= this.importImage(await tinyImage()).then((image) => image.imageId);
    return this.#tiny;
  }
  #tiny: Promise<string> | undefined;

  /** Deletes every sandbox, ends all processes and removes the directory. Keeps the logs if `PADDOCK_TEST_KEEP_LOGS` is set. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      const { sandboxes } = await this.client.sandboxes.listSandboxes({}, { deadline: inSeconds(20) });
      await Promise.all(
        sandboxes.map(({ sandboxId }) =>
          this.client.sandboxes.deleteSandbox(
            { requestId: randomUUID(), sandboxId, force: true },
            { deadline: inSeconds(60) },
          ),
        ),
      );
    } finally {
      this.#connection.close();
      this.#forgetSignals();
      await this.#api.stop();
      await this.#node.stop();
      await this.#nats.stop();
      // VMs of a creation that a failed test interrupted.
      for (const pid of machinesOf(this.stateDirectory)) process.kill(Number(pid), "SIGKILL");
      const keep = process.env.PADDOCK_TEST_KEEP_LOGS;
      if (keep) {
        for (const name of ["node.log", "api.log"])
          writeFileSync(
            join(keep, `${basename(this.directory)}-${name}`),
            readFileSync(join(this.directory, name)),
          );
      }
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  /**
   * Resolves when the api has a heartbeat of the node that was sent after `since`. Before that, placement finds no node, or sends
   * commands to the former daemon.
   */
  private async nodeIsUp(since: number): Promise<void> {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const { nodes } = await this.client.nodes.listNodes({}, { deadline: new Date(deadline) });
      const isNew = nodes.some(
        ({ state, heartbeatAt }) => state === 1 && heartbeatAt && timestampMs(heartbeatAt) >= since,
      );
      if (isNew) return;
      if (Date.now() > deadline) throw new Error("the api has no heartbeat of the node");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

type Parts = {
  readonly directory: string;
  readonly nats: NatsServer;
  readonly api: ChildService;
  readonly apiEnv: Record<string, string>;
  readonly measured: boolean | undefined;
  readonly node: ChildService;
  readonly nodeEnv: Record<string, string>;
  readonly nodeStart: StartOptions;
};

/** A file with a secret that api and node daemon share. */
function streamSecretFile(directory: string): string {
  const path = join(directory, "stream.secret");
  writeFileSync(path, `${randomUUID()}${randomUUID()}\n`, { mode: 0o600 });
  return path;
}

export const inSeconds = (seconds: number): Date => new Date(Date.now() + seconds * 1000);

function clientOn(connection: GrpcConnection): PaddockClient {
  return {
    sandboxes: connection.service(SandboxService),
    containers: connection.service(ContainerService),
    processes: connection.service(ProcessService),
    files: connection.service(FileService),
    events: connection.service(EventService),
    images: connection.service(ImageService),
    nodes: connection.service(NodeService),
    volumes: connection.service(VolumeService),
    system: connection.service(SystemService),
  };
}
