/** An api with a real NATS server and fake nodes, for one test file. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { GrpcConnection } from "@paddock/rpc";
import { createLogger } from "@paddock/telemetry";
import { type NatsServer, startNats } from "../../../../test/harness/nats.ts";
import { type App, startApp } from "../app.ts";
import { type Config, parseConfig } from "../config.ts";
import { FakeNode } from "./fake-node.ts";

export class ApiBench implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly app: App;
  readonly connection: GrpcConnection;
  /** Every log line of the api. */
  readonly logs: string[];
  readonly #directory: string;
  readonly #nodes: FakeNode[] = [];

  private constructor(directory: string, nats: NatsServer, app: App, logs: string[]) {
    this.#directory = directory;
    this.nats = nats;
    this.app = app;
    this.logs = logs;
    this.connection = new GrpcConnection(app.grpcAddress);
  }

  static async start(settings: Partial<Config> = {}): Promise<ApiBench> {
    const directory = mkdtempSync(join(tmpdir(), "api-"));
    const nats = await startNats(directory);
    const logs: string[] = [];
    const destination = new Writable({
      write: (line, _encoding, done) => {
        logs.push(String(line));
        done();
      },
    });
    const log = createLogger({ name: "api", level: "trace", destination });
    const config = parseConfig({
      PADDOCK_NATS_URL: nats.url,
      PADDOCK_API_GRPC_ADDRESS: "127.0.0.1:0",
      PADDOCK_API_HTTP_ADDRESS: "127.0.0.1:0",
    });
    const app = await startApp({ ...config, ...settings }, { log, drainMs: 1_000 });
    return new ApiBench(directory, nats, app, logs);
  }

  /** A node that the api knows of. */
  async node(nodeId: string): Promise<FakeNode> {
    const node = await FakeNode.start(nodeId, this.nats.url);
    this.#nodes.push(node);
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.close();
    await this.app.stop();
    for (const node of this.#nodes) await node[Symbol.asyncDispose]();
    await this.nats.stop();
    rmSync(this.#directory, { recursive: true });
  }
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
