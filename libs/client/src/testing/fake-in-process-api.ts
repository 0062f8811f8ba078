/** An api for tests within the process: `transport` passes calls to the answers that a test defines. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  isMessage,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createWritableIterable } from "@connectrpc/connect/protocol";
import { PaddockError } from "@paddock/domain";
import { toConnectError } from "@paddock/protocol";
import type { FakeServer, Incoming } from "./fake-server.ts";

type Handler = (requests: AsyncIterable<Message>, ended: AbortSignal) => AsyncIterable<Message>;

export class FakeInProcessApi implements FakeServer {
  readonly calls: string[] = [];
  readonly authorizations: string[] = [];
  readonly #handlers = new Map<string, Handler>();
  #connection = new AbortController();

  readonly transport: Transport = {
    unary: async (method, signal, _timeoutMs, header, input) => {
      for await (const message of this.#call(method, { signal, header, input: once(input) }))
        return { ...headOf(method), stream: false, message };
      throw new ConnectError("no answer", Code.Internal);
    },
    stream: async (method, signal, _timeoutMs, header, input) => ({
      ...headOf(method),
      stream: true,
      message: this.#call(method, { signal, header, input }),
    }),
  };

  cut(): void {
    this.#connection.abort(new ConnectError("the connection was cut", Code.Unavailable));
    this.#connection = new AbortController();
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    answer: (request: MessageShape<I>) => MessageInitShape<O> | Promise<MessageInitShape<O>>,
  ): this {
    this.#handlers.set(method.name, async function* (requests) {
      for await (const request of typed(method.input, requests))
        yield create(method.output, await answer(request));
    });
    return this;
  }

  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    answer: (request: MessageShape<I>) => AsyncIterable<MessageInitShape<O>>,
  ): this {
    this.#handlers.set(method.name, async function* (requests) {
      for await (const request of typed(method.input, requests))
        for await (const response of answer(request)) yield create(method.output, response);
    });
    return this;
  }

  duplex<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    answer: (call: Incoming<I, O>) => Promise<void>,
  ): this {
    this.#handlers.set(method.name, async function* (requests, ended) {
      const responses = createWritableIterable<Message>();
      const closed = new Promise((resolve) => ended.addEventListener("abort", resolve, { once: true }));
      const send = (response: MessageInitShape<O>) =>
        void responses.write(create(method.output, response)).catch(() => {});
      const answered = answer({ requests: typed(method.input, requests), send, closed });
      void answered.catch(() => {}).then(() => responses.close());
      yield* responses;
      await answered;
    });
    return this;
  }

  async *#call<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    { signal, header, input }: Call<I>,
  ): AsyncGenerator<MessageShape<O>> {
    const handler = this.#handlers.get(method.name);
    if (!handler) throw new ConnectError(`${method.name} has no answer`, Code.Unimplemented);
    this.calls.push(method.name);
    const authorization = new Headers(header).get("authorization");
    if (authorization !== null) this.authorizations.push(authorization);
    const ended = AbortSignal.any([this.#connection.signal, ...(signal ? [signal] : [])]);
    try {
      const requests = untilAborted(messages(method.input, input), ended);
      yield* typed(method.output, untilAborted(handler(requests, ended), ended));
    } catch (error) {
      throw error instanceof PaddockError ? toConnectError(error) : ConnectError.from(error, Code.Canceled);
    }
  }
}

type Call<I extends DescMessage> = {
  readonly signal: AbortSignal | undefined;
  readonly header: ConstructorParameters<typeof Headers>[0];
  readonly input: AsyncIterable<MessageInitShape<I>>;
};

const headOf = <M extends DescMethod>(method: M) => ({
  service: method.parent,
  method,
  header: new Headers(),
  trailer: new Headers(),
});

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}

async function* messages<D extends DescMessage>(schema: D, inits: AsyncIterable<MessageInitShape<D>>) {
  for await (const init of inits) yield create(schema, init);
}

async function* typed<D extends DescMessage>(schema: D, all: AsyncIterable<Message>) {
  for await (const message of all) {
    if (!isMessage(message, schema)) throw new TypeError(`${message.$typeName} is not ${schema.typeName}`);
    yield message;
  }
}

async function* untilAborted<T>(values: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  const iterator = values[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([iterator.next(), aborted.promise]);
    if (next.done) return;
    yield next.value;
  }
}
