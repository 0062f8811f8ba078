/**
 * A node without a host: the commands and streams of a node daemon, answered by functions of the test. It uses the same NATS
 * subjects and the same gRPC service as a real one.
 */
import { create, fromBinary, type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Server } from "@grpc/grpc-js";
import { Bus, type CommandContext, type CommandServer, putHeartbeat, serveCommands } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import {
  ContainerService,
  FileService,
  ImageService,
  nodepb,
  ProcessService,
  SandboxService,
  SystemService,
  toStatus,
  VolumeService,
} from "@paddock/protocol";
import {
  addGrpcMethods,
  bindMethods,
  createRequestCheck,
  listenForPeer,
  type MethodHandler,
  methodPath,
  type PeerListener,
  SERVER_OPTIONS,
} from "@paddock/rpc";
import { REBUILD_REQUEST_ID } from "../sandboxes/rebuild-registry.ts";

type Methods = typeof SandboxService.method &
  typeof ContainerService.method &
  typeof ProcessService.method &
  typeof FileService.method &
  typeof ImageService.method &
  typeof SystemService.method &
  typeof VolumeService.method;
type Unary = { [N in keyof Methods]: Methods[N]["methodKind"] extends "unary" ? N : never }[keyof Methods];

/** Answers to commands by the local names of their methods. */
export type FakeCommands = {
  [N in Unary]?: (
    body: MessageShape<Methods[N]["input"]>,
    command: nodepb.CommandRequest,
    ctx: CommandContext,
  ) => Promise<MessageShape<Methods[N]["output"]>>;
};

type StreamName =
  | "exec"
  | "attach"
  | "waitProcess"
  | "readLogs"
  | "importImage"
  | "portForward"
  | "copyFrom"
  | "copyTo"
  | "watchFiles"
  | `watch${"Sandbox" | "Container"}Stats`;
type StreamHandlers = { [N in StreamName]: MethodHandler<Methods[N]> };

const METHODS = [
  SandboxService,
  ContainerService,
  ProcessService,
  FileService,
  ImageService,
  SystemService,
  VolumeService,
].flatMap(({ methods }) => methods);

const GIB = 1024n ** 3n;
/** The secret that the api and its fake nodes share. */
export const STREAM_SECRET = "tests-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

export class FakeNode implements AsyncDisposable {
  readonly nodeId: string;
  /** A test may replace these at any time. */
  commands: FakeCommands = {};
  streams: Partial<StreamHandlers> = {};
  /** Sent in the next heartbeats. A new value means that the daemon has restarted. */
  instanceId = "boot-1";
  /** Number of sandboxes in the next heartbeats. */
  sandboxes = 0;
  /** Every command that a client's call caused, in order. */
  readonly seen: nodepb.CommandRequest[] = [];
  /** The deadline of each command, by the clock of this process. */
  readonly deadlines: (Date | undefined)[] = [];
  readonly #bus: Bus;
  readonly #server = new Server(SERVER_OPTIONS);
  #commandServer: CommandServer | undefined;
  #listener: PeerListener | undefined;
  #sequence = 0n;
  #address = "";

  /** Address of its streams. */
  get streamAddress(): string {
    return this.#address;
  }

  private constructor(nodeId: string, natsUrl: string) {
    this.nodeId = nodeId;
    this.#bus = new Bus({ url: natsUrl, name: nodeId });
  }

  static async start(nodeId: string, natsUrl: string): Promise<FakeNode> {
    const node = new FakeNode(nodeId, natsUrl);
    await node.#bus.ready;
    await node.#listen();
    node.#commandServer = serveCommands(node.#bus, nodeId, (request, ctx) => node.#answer(request, ctx), {
      limits: { perKind: 64, perSandbox: 64 },
      kindOf: () => "reads",
      toStatus,
    });
    await node.#bus.connection().flush();
    await node.beat();
    return node;
  }

  /** Sends a heartbeat. `allocatedMemory` is in bytes, of 16 GiB. */
  async beat(allocatedMemory = 0n): Promise<void> {
    this.#sequence += 1n;
    await putHeartbeat(
      this.#bus,
      create(nodepb.HeartbeatSchema, {
        node: {
          nodeId: this.nodeId,
          capacity: { milliCpus: 64_000n, memoryBytes: 16n * GIB, diskBytes: 1024n * GIB },
          allocated: { memoryBytes: allocatedMemory },
          sandboxes: this.sandboxes,
        },
        streamAddress: this.#address,
        daemonInstanceId: this.instanceId,
        sequence: this.#sequence,
      }),
    );
  }

  async #listen(): Promise<void> {
    const missing = (name: string) => new PaddockError("NOT_IMPLEMENTED", `the test has no ${name}`);
    const handler = <K extends keyof StreamHandlers>(name: K): StreamHandlers[K] => {
      const found = this.streams[name];
      if (found === undefined) throw missing(name);
      return found;
    };
    addGrpcMethods(
      this.#server,
      [
        ...bindMethods(ProcessService, {
          exec: (requests, ctx) => handler("exec")(requests, ctx),
          attach: (requests, ctx) => handler("attach")(requests, ctx),
          waitProcess: (request, ctx) => handler("waitProcess")(request, ctx),
          readLogs: (request, ctx) => handler("readLogs")(request, ctx),
        }),
        ...bindMethods(ContainerService, {
          watchContainerStats: (request, ctx) => handler("watchContainerStats")(request, ctx),
        }),
        ...bindMethods(SandboxService, {
          watchSandboxStats: (request, ctx) => handler("watchSandboxStats")(request, ctx),
          portForward: (requests, ctx) => handler("portForward")(requests, ctx),
        }),
        ...bindMethods(FileService, {
          copyFrom: (request, ctx) => handler("copyFrom")(request, ctx),
          copyTo: (requests, ctx) => handler("copyTo")(requests, ctx),
          watchFiles: (request, ctx) => handler("watchFiles")(request, ctx),
        }),
        ...bindMethods(ImageService, {
          importImage: (requests, ctx) => handler("importImage")(requests, ctx),
        }),
      ],
      { check: createRequestCheck(), onBug: (error) => console.error(error) },
    );
    this.#listener = await listenForPeer(this.#server, {
      address: { host: "127.0.0.1", port: 0 },
      credentials: { current: { kind: "secret", secret: STREAM_SECRET }, onChange: () => () => {} },
      nodeId: this.nodeId,
      onRefused: () => {},
    });
    this.#address = `127.0.0.1:${this.#listener.port}`;
  }

  /** Sends a heartbeat with another address for its streams. */
  async advertise(address: string): Promise<void> {
    this.#address = address;
    await this.beat();
  }

  /** Accepts no more commands. */
  async closeCommands(): Promise<void> {
    await this.#commandServer?.stop(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener?.close();
    this.#server.forceShutdown();
    await this.#bus.close();
  }

  async #answer(request: nodepb.CommandRequest, ctx: CommandContext): Promise<Uint8Array> {
    if (request.requestId !== REBUILD_REQUEST_ID) {
      this.seen.push(request);
      this.deadlines.push(ctx.deadline);
    }
    const method = METHODS.find((each) => methodPath(each) === request.method);
    if (method === undefined) throw new Error(`no method is called ${request.method}`);
    // The map above ties each answer to its method; TypeScript cannot express that for a method picked at run time.
    const answer = this.commands[method.localName as Unary] as
      | ((body: Message, request: nodepb.CommandRequest, ctx: CommandContext) => Promise<Message>)
      | undefined;
    if (answer === undefined)
      throw new PaddockError("NOT_IMPLEMENTED", `the test has no ${method.localName}`);
    return toBinary(method.output, await answer(fromBinary(method.input, request.request), request, ctx));
  }
}
