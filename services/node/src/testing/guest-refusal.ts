/** What the guest's agent answers to a call that it refuses: the reason is in the details, and the code says nothing more. */
import { Code, ConnectError } from "@connectrpc/connect";
import { agentpb } from "@paddock/protocol";

export function guestRefusal(reason: agentpb.FailureReason, text: string, earliestOffset = 0): ConnectError {
  const value = { reason, earliestOffset: BigInt(earliestOffset) };
  return new ConnectError(text, Code.Unknown, undefined, [{ desc: agentpb.FailureSchema, value }]);
}
