/**
 * Errors on the wire: `google.rpc.Status` with the details of AIP-193.
 *
 * Between the services a Status travels in three forms (trailer `grpc-status-details-bin`, details of a Connect error,
 * `CommandResponse.error`). `toStatus` makes all three and `fromStatus` reads them. An error of another service keeps its Status
 * unchanged, with unknown details: `toStatus` of the result of `fromStatus` is the same Status. An error that is no `PaddockError`
 * is a bug: it becomes INTERNAL "internal error", and the server that got it logs it.
 */
import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyIs, anyPack, anyUnpack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { type ErrorReason, PaddockError, type PaddockErrorOptions, REASON_KINDS } from "@paddock/domain";
import { BARE_REASONS, codeOfKind, kindOfCode } from "./error-codes.ts";
import * as rpcpb from "./gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "./gen/google/rpc/status_pb.js";

/** The domain of our reasons in `google.rpc.ErrorInfo`. */
export const ERROR_DOMAIN = "paddock";

/** Details beyond this many bytes are left out: trailers share the peer's header limit, often 8 KiB. */
const MAX_DETAILS_BYTES = 6 * 1024;
const MAX_MESSAGE_LENGTH = 1024;
const MAX_VIOLATIONS = 32;

/** An error that another service sent. `status` is what it sent, unchanged. */
export class RemoteError extends PaddockError {
  readonly status: Status;

  constructor(reason: ErrorReason, status: Status, options: PaddockErrorOptions) {
    super(reason, status.message, options);
    this.status = status;
  }
}

/**
 * The Status of any thrown value. `requestId` is added for the client's bug report. Never throws, and never sends more than
 * a message of 1024 characters and 6 KiB of details.
 */
export function toStatus(error: unknown, requestId?: string): Status {
  if (error instanceof RemoteError) return error.status;
  if (!(error instanceof PaddockError)) {
    return toStatus(new PaddockError("INTERNAL", "internal error"), requestId);
  }
  return create(StatusSchema, {
    code: codeOfKind(error.kind),
    message: clip(error.message, MAX_MESSAGE_LENGTH),
    details: withinLimit(detailsOf(error, requestId)),
  });
}

/** The error of a Status that another service sent. The reason is ours if it gave one of ours, else one that fits the code. */
export function fromStatus(status: Status): PaddockError {
  const info = detail(status, rpcpb.ErrorInfoSchema);
  const kind = kindOfCode(status.code);
  const reason =
    info?.domain === ERROR_DOMAIN && isReason(info.reason) && REASON_KINDS[info.reason] === kind
      ? info.reason
      : BARE_REASONS[kind];
  const hint = detail(status, rpcpb.LocalizedMessageSchema)?.message;
  const delay = detail(status, rpcpb.RetryInfoSchema)?.retryDelay;
  const violations = detail(status, rpcpb.BadRequestSchema)?.fieldViolations;
  return new RemoteError(reason, status, {
    metadata: info?.metadata ?? {},
    ...(hint ? { hint } : {}),
    ...(delay ? { retryAfterMs: Number(delay.seconds) * 1000 + Math.ceil(delay.nanos / 1e6) } : {}),
    ...(violations
      ? { violations: violations.map((v) => ({ field: v.field, description: v.description })) }
      : {}),
  });
}

function detailsOf(error: PaddockError, requestId: string | undefined): Any[] {
  const { reason, hint, retryAfterMs, violations } = error;
  const metadata = { ...error.metadata };
  const details = [pack(rpcpb.ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata })];
  if (requestId) details.push(pack(rpcpb.RequestInfoSchema, { requestId }));
  if (hint) {
    const message = clip(hint, MAX_MESSAGE_LENGTH);
    details.push(pack(rpcpb.LocalizedMessageSchema, { locale: "en-US", message }));
  }
  if (retryAfterMs !== undefined)
    details.push(pack(rpcpb.RetryInfoSchema, { retryDelay: durationFromMs(Math.trunc(retryAfterMs)) }));
  if (violations.length > 0) {
    const fieldViolations = violations.slice(0, MAX_VIOLATIONS).map(({ field, description }) => ({
      field: clip(field, 256),
      description: clip(description, 256),
    }));
    details.push(pack(rpcpb.BadRequestSchema, { fieldViolations }));
  }
  return details;
}

const pack = <Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Any =>
  anyPack(schema, create(schema, init));

/** The first details that fit together; the first of all, ErrorInfo, always does in practice. */
function withinLimit(details: Any[]): Any[] {
  let left = MAX_DETAILS_BYTES;
  return details.filter((any) => {
    left -= any.value.length + any.typeUrl.length;
    return left >= 0;
  });
}

function detail<Desc extends DescMessage>(status: Status, schema: Desc): MessageShape<Desc> | undefined {
  const any = status.details.find((candidate) => anyIs(candidate, schema));
  try {
    return any && anyUnpack(any, schema);
  } catch {
    return undefined;
  }
}

const isReason = (reason: string): reason is ErrorReason => Object.hasOwn(REASON_KINDS, reason);

/** At most `length` characters of well-formed text: gRPC percent-encodes messages, which throws on a lone surrogate. */
const clip = (text: string, length: number): string =>
  (text.length <= length ? text : `${text.slice(0, length - 1)}…`).toWellFormed();
