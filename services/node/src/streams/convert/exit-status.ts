import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type agentpb, type ExitStatus, ExitStatusSchema } from "@paddock/protocol";
import { guestText } from "../../agent/guest-text.ts";
import type { ExitRecord } from "../../sandboxes/sandbox-record.ts";
import { guestTime } from "./guest-time.ts";

/** A guest's exit status as clients see it, with a safe text. */
export function publicExitStatus(status: agentpb.ExitStatus): ExitStatus {
  const { code, signal, oomKilled, exitedAt, reason } = status;
  const time = guestTime(exitedAt);
  return create(ExitStatusSchema, {
    code: Math.min(Math.max(code, 0), 255),
    signal: Math.min(Math.max(signal, 0), 64),
    oomKilled,
    reason: guestText(reason),
    ...(time && { exitedAt: time }),
  });
}

/** The recorded exit of an init as clients see it. */
export const recordedExitStatus = ({ code, signal, oomKilled, exitedAtMs, reason }: ExitRecord): ExitStatus =>
  create(ExitStatusSchema, { code, signal, oomKilled, reason, exitedAt: timestampFromMs(exitedAtMs) });
