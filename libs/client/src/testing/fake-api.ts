/**
 * An api for tests: a real gRPC server whose answers the test defines, behind a connection that can be cut.
 *
 * Clients connect through a TCP relay. When it cuts their connections, they see the same as in production: a connection that
 * breaks during a call.
 */
import { once } from "node:events";
import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import { toServiceError } from "@paddock/rpc";
import type { FakeServer, Incoming } from "./fake-server.ts";

type Method = {
  readonly name: string;
  readonly localName: string;
  readonly parent: { readonly typeName: string };
};

export class FakeApi implements FakeServer, AsyncDisposable {
  readonly calls: string[] = [];
  readonly authorizations: string[] = [];
  readonly #server = new Server();
  readonly #sockets = new Set<Socket>();
  readonly #relay: NetServer;
  #port = 0;
  #serverPort = 0;

  private constructor() {
    this.#relay = createServer((client) => {
      const server = connect(this.#serverPort, "127.0.0.1");
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          this.#sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
      client.pipe(server);
      server.pipe(client);
    });
  }

  static async start(): Promise<FakeApi> {
    const fake = new FakeApi();
    fake.#serverPort = await new Promise((resolve, reject) => {
      fake.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    fake.#relay.listen(0, "127.0.0.1");
    await once(fake.#relay, "listening");
    const address = fake.#relay.address();
    fake.#port = typeof address === "object" && address !== null ? address.port : 0;
    return fake;
  }

  /** "host:port". */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    answer: (request: MessageShape<I>) => MessageInitShape<O> | Promise<MessageInitShape<O>>,
  ): this {
    return this.#add(
      method,
      false,
      false,
      async (call: { request: MessageShape<I> }, callback: Callback<MessageShape<O>>) => {
        try {
          callback(null, create(method.output, await answer(call.request)));
        } catch (error) {
          callback(toServiceError(error), undefined);
        }
      },
    );
  }

  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    answer: (request: MessageShape<I>) => AsyncIterable<MessageInitShape<O>>,
  ): this {
    return this.#add(
      method,
      false,
      true,
      async (call: ServerDuplexStream<MessageShape<I>, MessageShape<O>> & { request: MessageShape<I> }) => {
        call.on("error", () => {});
        const closed = new Promise((resolve) => call.once("close", resolve).once("cancelled", resolve));
        try {
          for await (const message of answer(call.request)) {
            if (call.cancelled) return;
            const isTaken = call.write(create(method.output, message));
            if (!isTaken) await Promise.race([closed, new Promise((resolve) => call.once("drain", resolve))]);
          }
          call.end();
        } catch (error) {
          call.emit("error", toServiceError(error));
        }
      },
    );
  }

  duplex<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    answer: (call: Incoming<I, O>) => Promise<void>,
  ): this {
    return this.#add(
      method,
      true,
      true,
      async (call: ServerDuplexStream<MessageShape<I>, MessageShape<O>>) => {
        call.on("error", () => {});
        const closed = new Promise((resolve) =>
          call.once("close", resolve).once("cancelled", () => resolve(undefined)),
        );
        const send = (message: MessageInitShape<O>) => void call.write(create(method.output, message));
        try {
          await answer({ requests: call.iterator({ destroyOnReturn: false }), send, closed });
          call.end();
        } catch (error) {
          if (error instanceof PaddockError) call.emit("error", toServiceError(error));
        }
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    this.cut();
    await new Promise((resolve) => this.#relay.close(resolve));
  }

  #add(
    method: Method & { input: DescMessage; output: DescMessage },
    requestStream: boolean,
    responseStream: boolean,
    handler: Handler,
  ): this {
    const name = method.localName;
    const definition = {
      path: `/${method.parent.typeName}/${method.name}`,
      requestStream,
      responseStream,
      requestSerialize: (message: MessageShape<DescMessage>) => Buffer.from(toBinary(method.input, message)),
      requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
      responseSerialize: (message: MessageShape<DescMessage>) =>
        Buffer.from(toBinary(method.output, message)),
      responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
    };
    this.#server.addService(
      { [name]: definition },
      {
        [name]: (...args: Parameters<Handler>) => {
          this.calls.push(method.name);
          this.authorizations.push(...args[0].metadata.get("authorization"));
          handler(...args);
        },
      },
    );
    return this;
  }
}

type Callback<T> = (error: ReturnType<typeof toServiceError> | null, response: T | undefined) => void;
// grpc-js types handlers by the kind of call; here the kind is known where the handler is made.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Handler = (call: any, callback: any) => void;
