/** An api in this process with a real NATS server and fake nodes, for one test file. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { CreateSandboxResponseSchema, NodeService, SandboxService } from "@paddock/protocol";
import { GrpcConnection } from "@paddock/rpc";
import { createLogger } from "@paddock/telemetry";
import { type App, type AppOverrides, startApp } from "../app.ts";
import { type Config, parseConfig } from "../config.ts";
import { FakeNode, STREAM_SECRET } from "./fake-node.ts";

/** A NATS server that the test has started below a directory. */
export type BenchNats = { readonly url: string; stop(): Promise<void>; kill(): Promise<void> };

export class ApiBench implements AsyncDisposable {
  readonly nats: BenchNats;
  readonly app: App;
  readonly connection: GrpcConnection;
  /** Every log line of the api. */
  readonly logs: readonly string[];
  readonly #cleanUp: AsyncDisposableStack;

  private constructor(nats: BenchNats, app: App, logs: readonly string[], cleanUp: AsyncDisposableStack) {
    this.nats = nats;
    this.app = app;
    this.logs = logs;
    this.#cleanUp = cleanUp;
    this.connection = cleanUp.use(new GrpcConnection(app.grpcAddress));
  }

  static async start(
    startNats: (directory: string) => Promise<BenchNats>,
    settings: Partial<Config> = {},
    overrides: AppOverrides = {},
  ): Promise<ApiBench> {
    await using undo = new AsyncDisposableStack();
    const directory = mkdtempSync(join(tmpdir(), "api-"));
    undo.defer(() => rmSync(directory, { recursive: true }));
    const nats = await startNats(directory);
    undo.defer(() => nats.stop());
    const logs: string[] = [];
    const log = createLogger({
      name: "api",
      level: "trace",
      destination: { write: (line) => void logs.push(line) },
    });
    const config = parseConfig({
      PADDOCK_NATS_URL: nats.url,
      PADDOCK_API_GRPC_ADDRESS: "127.0.0.1:0",
      PADDOCK_API_HTTP_ADDRESS: "127.0.0.1:0",
      PADDOCK_STREAM_SECRET_FILE: streamSecretFile(directory),
    });
    const app = await startApp({ ...config, ...settings }, { log, drainMs: 1_000, ...overrides });
    undo.defer(() => app.stop());
    return new ApiBench(nats, app, logs, undo.move());
  }

  /** Starts a node. The api learns of it soon after. */
  async node(nodeId: string): Promise<FakeNode> {
    return this.#cleanUp.use(await FakeNode.start(nodeId, this.nats.url));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cleanUp.disposeAsync();
  }
}

/** A file with the secret of the fake nodes. */
export function streamSecretFile(directory: string): string {
  const path = join(directory, "stream.secret");
  writeFileSync(path, STREAM_SECRET, { mode: 0o600 });
  return path;
}

/** Places sandbox "s" on `node`, which creates any sandbox on request. */
export async function placeSandbox(connection: GrpcConnection, node: FakeNode): Promise<void> {
  node.commands.createSandbox = async ({ sandboxId }) =>
    create(CreateSandboxResponseSchema, { sandbox: { sandboxId } });
  await eventually(() => connection.service(NodeService).getNode({ nodeId: node.nodeId }));
  const { createSandbox } = connection.service(SandboxService);
  await createSandbox({ requestId: "r", sandboxId: "s", spec: {} });
}

/** Waits until `check` passes; fails with its last error after 10 s. */
export async function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** The error that a call fails with. Fails if the call succeeds. */
export async function caught(call: Promise<unknown>): Promise<PaddockError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof PaddockError) return error;
    throw error;
  }
  throw new Error("the call succeeded");
}
