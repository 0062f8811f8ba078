import { create } from "@bufbuild/protobuf";
import { type agentpb, type ExitStatus, ExitStatusSchema } from "@paddock/protocol";
import { guestText } from "../agent/guest-text.ts";
import { guestTime } from "./guest-time.ts";

/** A guest's exit status as shown to clients, with a safe text. */
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
