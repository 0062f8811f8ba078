/** The guest's agent's refusal of a call: the reason is in the details, and the code adds nothing. */
import { Code, ConnectError } from "@connectrpc/connect";
import { agentpb } from "@paddock/protocol";

export function guestRefusal(reason: agentpb.FailureReason, text: string, earliestOffset = 0): ConnectError {
  const value = { reason, earliestOffset: BigInt(earliestOffset) };
  return new ConnectError(text, Code.Unknown, undefined, [{ desc: agentpb.FailureSchema, value }]);
}
