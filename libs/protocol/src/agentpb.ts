/** The generated code of the guest agent's protocol. */
export * from "./gen/paddock/agent/v1/agent_pb.js";
export * from "./gen/paddock/agent/v1/file_pb.js";
