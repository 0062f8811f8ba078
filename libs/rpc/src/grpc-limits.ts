import type { ChannelOptions, ServerInterceptor, ServerOptions } from "@grpc/grpc-js";
import { writeAhead } from "./write-ahead.ts";

/** Largest message on any connection, in bytes. The largest legal one is a create request of 1 MiB (the bus's limit). */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Bytes a receiver lets the sender send ahead, for each stream and for the connection. */
export const FLOW_CONTROL_WINDOW_BYTES = 1024 * 1024;

/** Streams a client may have open on one connection: 10 000 execs and waits, with room. */
const MAX_CONCURRENT_STREAMS = 16_384;

/** Options of our gRPC servers. Dead clients are noticed after 80 s. */
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

/** Options of our gRPC clients. A peer that died is noticed after 40 s; the caller does retries. */
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
  // A proxy from the environment could read what tenants type.
  "grpc.enable_http_proxy": 0,
  "grpc-node.flow_control_window": FLOW_CONTROL_WINDOW_BYTES,
};
