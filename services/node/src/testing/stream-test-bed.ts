/** A node's streams for tests: the real handlers behind a real gRPC server, one sandbox whose guest is a fake agent. */
import { rmSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError, parseContainerId, parseSandboxId } from "@paddock/domain";
import { type ImageRecord, type ImageStore, openImageStore, packTar } from "@paddock/images";
import {
  type AttachResponse,
  ContainerService,
  ContainerSpecSchema,
  type ExecResponse,
  FileService,
  ImageService,
  OutputStream,
  type ProcessInputSchema,
  type ProcessOutput,
  ProcessService,
  SandboxService,
  SandboxSpecSchema,
} from "@paddock/protocol";
import { bindGrpcServer, createGrpcServer, createRequestCheck, GrpcConnection } from "@paddock/rpc";
import { AgentLink } from "../agent/agent-link.ts";
import { LogBook, type LogTrouble } from "../logs/log-book.ts";
import { refuseStale } from "../record/fence-generation.ts";
import { NO_NETWORK } from "../record/network-record.ts";
import { sandboxPaths } from "../record/sandbox-paths.ts";
import type { ContainerPhase, SandboxPhase, SandboxRecord } from "../record/sandbox-record.ts";
import type { LiveSandbox, LiveSandboxes } from "../sandboxes/live-sandbox.ts";
import { streamMethods } from "../streams/stream-handlers.ts";
import { newVmId } from "../vm/vm-paths.ts";
import { FakeAgent, type FakeAgentOptions } from "./fake-agent.ts";
import { FakeCgroups } from "./fake-machines.ts";

export const SANDBOX = "s1";
export const CONTAINER = "c1";
/** The sandbox's VM. */
export const MACHINE = { pid: 1, startTicks: "2", bootId: "host" } as const;

export type TestBed = AsyncDisposable & {
  readonly fake: FakeAgent;
  readonly link: AgentLink;
  readonly logs: LogBook;
  readonly sandbox: LiveSandbox;
  readonly streams: Streams;
  readonly images: ImageStore;
  readonly bugs: unknown[];
  readonly troubles: LogTrouble[];
  /** The container's phase in the record. */
  phase: ContainerPhase;
  /** The sandbox's phase in the record. */
  sandboxPhase: SandboxPhase;
  readonly cgroups: FakeCgroups;
  /** The node's clock. */
  readonly nowMs: { value: number };
};

export type TestBedOptions = FakeAgentOptions & {
  readonly log?: { readonly maxFileBytes: bigint; readonly maxFiles: number };
  /** Generation of the sandbox's placement; 1 when left out. */
  readonly generation?: bigint;
};

export async function testBed(options: TestBedOptions = {}): Promise<TestBed> {
  await using stack = new AsyncDisposableStack();
  const stateDir = await mkdtemp(join(tmpdir(), "paddock-streams-"));
  stack.defer(() => rm(stateDir, { recursive: true, force: true }));
  const fake = stack.use(await FakeAgent.start(options));
  const link = stack.use(new AgentLink({ socketPath: fake.socketPath, pauseMs: { first: 1, longest: 20 } }));
  const troubles: LogTrouble[] = [];
  const logs = stack.use(new LogBook((trouble) => troubles.push(trouble)));
  const { root, image } = await imageTemplate();
  await cp(root, join(stateDir, "images"), { recursive: true });
  const images = await openImageStore({ root: join(stateDir, "images") });
  const bugs: unknown[] = [];
  const nowMs = { value: 0 };
  const state: { phase: ContainerPhase; sandboxPhase: SandboxPhase } = {
    phase: { kind: "running", pid: 7, startedAtMs: 1 },
    sandboxPhase: { kind: "running", machine: MACHINE, startedAtMs: 1 },
  };
  const sandbox = liveSandbox(stateDir, link, {
    phase: () => state.phase,
    sandboxPhase: () => state.sandboxPhase,
    imageId: image.id,
    log: options.log,
    generation: options.generation ?? 1n,
  });
  const sandboxes: LiveSandboxes = {
    require: (id) => {
      if (id === SANDBOX) return sandbox;
      throw new PaddockError("SANDBOX_NOT_FOUND", `no sandbox ${id}`);
    },
    fence: (_, generation) => refuseStale(sandbox.record, generation),
  };
  const cgroups = new FakeCgroups();
  const stats = { cgroups, vmOverheadBytes: 1 << 20, network: undefined, nowMs: () => nowMs.value };
  const server = createGrpcServer(streamMethods({ nodeId: "n1", sandboxes, logs, images, ...stats }), {
    check: createRequestCheck(),
    onBug: (error) => bugs.push(error),
  });
  const port = await bindGrpcServer(server, { host: "127.0.0.1", port: 0 });
  stack.defer(() => server.forceShutdown());
  const connection = stack.use(new GrpcConnection(`127.0.0.1:${port}`));
  const streams = streamsOf(connection);
  const moved = stack.move();
  return {
    fake,
    link,
    logs,
    sandbox,
    streams,
    images,
    bugs,
    troubles,
    cgroups,
    nowMs,
    get phase() {
      return state.phase;
    },
    set phase(phase) {
      state.phase = phase;
    },
    get sandboxPhase() {
      return state.sandboxPhase;
    },
    set sandboxPhase(phase) {
      state.sandboxPhase = phase;
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

type ImageTemplate = { readonly root: string; readonly image: ImageRecord };
let template: Promise<ImageTemplate> | undefined;

/** An image store to copy: an import starts a process, which takes longer than most stream tests. */
function imageTemplate(): Promise<ImageTemplate> {
  template ??= (async () => {
    const root = await mkdtemp(join(tmpdir(), "paddock-streams-images-"));
    process.once("exit", () => rmSync(root, { recursive: true, force: true }));
    const images = await openImageStore({ root });
    const directory = { path: "etc", type: "directory", mode: 0o755, uid: 0, gid: 0, mtime: 0 } as const;
    const image = await images.importStream(packTar([directory]), {
      format: "rootfs",
      config: { cmd: ["/init"], env: ["A=1"] },
    });
    return { root, image };
  })();
  return template;
}

/** The methods that the node serves as streams. */
export type Streams = ReturnType<typeof streamsOf>;

const streamsOf = (connection: GrpcConnection) => ({
  ...connection.service(ProcessService),
  ...connection.service(ContainerService),
  ...connection.service(SandboxService),
  ...connection.service(FileService),
  ...connection.service(ImageService),
});

function liveSandbox(
  stateDir: string,
  link: AgentLink,
  known: {
    phase: () => ContainerPhase;
    sandboxPhase: () => SandboxPhase;
    imageId: string;
    log: TestBedOptions["log"];
    generation: bigint;
  },
): LiveSandbox {
  const { phase, sandboxPhase, imageId, log, generation } = known;
  const sandboxId = parseSandboxId(SANDBOX);
  const containerId = parseContainerId(CONTAINER);
  if (sandboxId === undefined || containerId === undefined)
    throw new Error("an id of the test bed is invalid");
  const paths = sandboxPaths(stateDir, SANDBOX);
  const record = (): SandboxRecord => ({
    sandboxId,
    version: 1,
    generation,
    requestId: "r",
    spec: create(SandboxSpecSchema, {}),
    size: { vcpus: 1, maxVcpus: 1, memoryBytes: 1 << 28 },
    vm: { id: newVmId(), slot: 0 },
    network: NO_NETWORK,
    createdAtMs: 1,
    bootDurationMs: 1,
    agentSequence: 0,
    guestBootId: "boot",
    eventSequence: 0,
    phase: sandboxPhase(),
    containers: [
      {
        containerId,
        instance: "",
        requestId: "r",
        spec: create(ContainerSpecSchema, { containerId, image: "i", ...(log && { log }) }),
        imageId,
        imageBlob: "sha256:0",
        stopSignal: 15,
        index: 0,
        targets: { image: 0, layer: 1 },
        createdAtMs: 1,
        oomKillCount: 0,
        restarts: 0,
        phase: phase(),
      },
    ],
    volumes: [],
    devices: [],
    operations: [],
  });
  return {
    sandboxId,
    get record() {
      return record();
    },
    paths,
    endRecorded: async () => undefined,
    agent: link,
    link,
    applied: undefined,
  };
}

/** Everything that a client of Exec or Attach received. */
export type Received = {
  readonly outputs: ProcessOutput["output"][];
  readonly cases: (string | undefined)[];
  readonly stdout: Buffer;
  readonly stderr: Buffer;
};

type Response = ExecResponse | AttachResponse;

/** Reads a whole stream; `each` is called with every message before the next one is read. */
export async function receive(
  call: AsyncIterable<Response>,
  each: (output: ProcessOutput["output"]) => void | Promise<void> = () => undefined,
): Promise<Received> {
  const outputs: ProcessOutput["output"][] = [];
  const bytes: Record<OutputStream, Buffer[]> = { 0: [], 1: [], 2: [] };
  for await (const response of call) {
    const output = response.output?.output;
    if (output === undefined) throw new Error("an empty response");
    outputs.push(output);
    if (output.case === "chunk") bytes[output.value.stream].push(Buffer.from(output.value.data));
    await each(output);
  }
  return {
    outputs,
    cases: outputs.map((output) => output.case),
    stdout: Buffer.concat(bytes[OutputStream.STDOUT]),
    stderr: Buffer.concat(bytes[OutputStream.STDERR]),
  };
}

/** The first request of an Exec. */
export const execStart = (
  args: string[],
  options: { execId?: string; stdin?: boolean; ringBytes?: number; explicitAck?: boolean } = {},
) => ({
  message: {
    case: "start" as const,
    value: {
      sandboxId: SANDBOX,
      containerId: CONTAINER,
      execId: options.execId ?? "",
      explicitAck: options.explicitAck ?? false,
      process: {
        args,
        stdin: options.stdin ?? false,
        ...(options.ringBytes && { output: { ringBytes: options.ringBytes } }),
      },
    },
  },
});

/** The first request of an Attach. */
export const attachStart = (execId: string, from: { stdout?: number; stderr?: number } = {}) => ({
  message: {
    case: "start" as const,
    value: {
      sandboxId: SANDBOX,
      containerId: CONTAINER,
      execId,
      ...(from.stdout !== undefined && { stdoutOffset: BigInt(from.stdout) }),
      ...(from.stderr !== undefined && { stderrOffset: BigInt(from.stderr) }),
    },
  },
});

/** Any later request of an Exec or Attach. */
export const input = (value: NonNullable<MessageInitShape<typeof ProcessInputSchema>["input"]>) => ({
  message: { case: "input" as const, value: { input: value } },
});

export const ack = (stdout: number, stderr = 0) =>
  input({ case: "ack", value: { stdoutOffset: BigInt(stdout), stderrOffset: BigInt(stderr) } });
