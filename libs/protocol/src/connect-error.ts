import { create } from "@bufbuild/protobuf";
import { type Code, ConnectError } from "@connectrpc/connect";
import { PaddockError } from "@paddock/domain";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import { fromStatus, toStatus } from "./status.ts";

/** The Connect error of any thrown value, with the details of its Status. */
export function toConnectError(error: unknown, requestId?: string): ConnectError {
  const status = toStatus(error, requestId);
  const code: Code = status.code;
  const connectError = new ConnectError(status.message, code);
  connectError.details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return connectError;
}

/** The error that a Connect call failed with. */
export function fromConnectError(error: unknown): PaddockError {
  if (error instanceof PaddockError) return error;
  const connectError = ConnectError.from(error);
  const details = connectError.details.map((detail) =>
    "desc" in detail
      ? { typeUrl: `type.googleapis.com/${detail.desc.typeName}`, value: new Uint8Array() }
      : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
  );
  return fromStatus(
    create(StatusSchema, { code: connectError.code, message: connectError.rawMessage, details }),
  );
}
