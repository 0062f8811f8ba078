import type { ChannelOptions, ServerInterceptor, ServerOptions } from "@grpc/grpc-js";
import { writeAhead } from "./write-ahead.ts";

/** The largest message on any connection, in bytes. The largest valid one is a create request of 1 MiB (the bus's limit). */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Bytes that a receiver lets the sender send ahead, per stream and per connection. */
export const FLOW_CONTROL_WINDOW_BYTES = 1024 * 1024;

/** The most streams of a client on one connection: 10 000 execs and waits, with a margin. */
const MAX_CONCURRENT_STREAMS = 16_384;

/** Options of Paddock's gRPC servers. Dead clients are noticed after 80 s. */
export const SERVER_OPTIONS: ServerOptions & { readonly interceptors: ServerInterceptor[] } = {
  interceptors: [writeAhead],
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_concurrent_streams": MAX_CONCURRENT_STREAMS,
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  // The flow control window bounds the memory of a session. Node.js fails calls that reach this limit.
  "grpc.enable_channelz": 0,
};

/** Options of Paddock's gRPC clients. A dead peer is noticed after 40 s; the caller retries. */
export const CLIENT_OPTIONS: ChannelOptions = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  "grpc.enable_retries": 0,
  "grpc.enable_channelz": 0,
  "grpc.service_config_disable_resolution": 1,
  // A proxy from the environment could read the data of tenants.
  "grpc.enable_http_proxy": 0,
  "grpc-node.flow_control_window": FLOW_CONTROL_WINDOW_BYTES,
};
