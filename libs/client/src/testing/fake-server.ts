/** The common part of the fakes of an api: answers that a test defines, and connections that it can cut. */
import type {
  DescMessage,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

export type Incoming<I extends DescMessage, O extends DescMessage> = {
  readonly requests: AsyncIterable<MessageShape<I>>;
  send(message: MessageInitShape<O>): void;
  /** Resolves when the client has disconnected or the connection was cut. */
  readonly closed: Promise<unknown>;
};

export interface FakeServer {
  /** Names of the methods called, in order. */
  readonly calls: string[];
  /** The `authorization` header of each call that had one. */
  readonly authorizations: string[];
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    answer: (request: MessageShape<I>) => MessageInitShape<O> | Promise<MessageInitShape<O>>,
  ): this;
  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    answer: (request: MessageShape<I>) => AsyncIterable<MessageInitShape<O>>,
  ): this;
  duplex<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    answer: (call: Incoming<I, O>) => Promise<void>,
  ): this;
  /** Cuts every connection. New ones are accepted. */
  cut(): void;
}
