import { create, toBinary } from "@bufbuild/protobuf";
import { Metadata, type ServiceError, type StatusObject, status } from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import { fromBinaryIfValid, fromStatus, StatusSchema, toStatus } from "@paddock/protocol";

const DETAILS_KEY = "grpc-status-details-bin";

/** Converts any thrown value to a grpc-js error, with the whole Status in the standard trailer. */
export function toServiceError(error: unknown, requestId?: string): ServiceError {
  const sent = toStatus(error, requestId);
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(toBinary(StatusSchema, sent)));
  return Object.assign(new Error(sent.message), {
    code: sent.code,
    details: sent.message.toWellFormed(),
    metadata,
  });
}

/** The error of a failed grpc-js call, from its trailer, or from code and message alone. */
export function fromServiceError(error: unknown): PaddockError {
  if (error instanceof PaddockError) return error;
  if (!isStatusObject(error)) {
    return new PaddockError("INTERNAL", "the call failed in the client", { cause: error });
  }
  const raw = error.metadata.get(DETAILS_KEY)[0];
  const sent = Buffer.isBuffer(raw) ? fromBinaryIfValid(StatusSchema, raw) : undefined;
  if (sent && sent.code === Number(error.code)) return fromStatus(sent);
  const code = lostConnection(error) ? status.UNAVAILABLE : error.code;
  return fromStatus(create(StatusSchema, { code, message: error.details }));
}

/**
 * Whether the connection ended before the status of the call arrived. grpc-js reports that as INTERNAL, as if the server had
 * broken the protocol. Paddock's servers send every status with details.
 */
const lostConnection = ({ code, details }: StatusObject): boolean =>
  code === status.INTERNAL && /^Received RST_STREAM with code 0\b/.test(details);

const isStatusObject = (error: unknown): error is StatusObject =>
  typeof error === "object" &&
  error !== null &&
  "code" in error &&
  typeof error.code === "number" &&
  "details" in error &&
  typeof error.details === "string" &&
  "metadata" in error &&
  error.metadata instanceof Metadata;
