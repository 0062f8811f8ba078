/**
 * What both ends of a connection agree on: generated protobuf code under the names of the proto packages, errors as they
 * travel, and the keys of metadata.
 *
 * Code elsewhere imports from here (`import { paddock } from …` is avoided: types of the public API are re-exported by
 * name, those of the node and agent protocols as namespaces), so that the generated tree may change its layout.
 */

export * as agentpb from "./agentpb.ts";
export * from "./connect-error.ts";
export * from "./decode.ts";
export * from "./error-codes.ts";
export * as rpcpb from "./gen/google/rpc/error_details_pb.js";
export { type Status, StatusSchema } from "./gen/google/rpc/status_pb.js";
export * as nodepb from "./gen/paddock/node/v1/node_pb.js";
export * from "./gen/paddock/v1/container_pb.js";
export * from "./gen/paddock/v1/event_pb.js";
export * from "./gen/paddock/v1/file_pb.js";
export * from "./gen/paddock/v1/image_pb.js";
export * from "./gen/paddock/v1/method_options_pb.js";
export * from "./gen/paddock/v1/network_pb.js";
export * from "./gen/paddock/v1/node_pb.js";
export * from "./gen/paddock/v1/port_forward_pb.js";
export * from "./gen/paddock/v1/process_pb.js";
export { file_paddock_v1_rules as sharedRules } from "./gen/paddock/v1/rules_pb.js";
export * from "./gen/paddock/v1/sandbox_pb.js";
export * from "./gen/paddock/v1/system_pb.js";
export * from "./gen/paddock/v1/volume_pb.js";
export * from "./metadata-keys.ts";
export * from "./status.ts";
