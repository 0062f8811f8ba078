import { PaddockError } from "@paddock/domain";

/** The error for a message that an agent may not send. `what` completes "it ...", such as "started twice". */
export const broken = (what: string): PaddockError =>
  new PaddockError("GUEST_FAILED", `the guest's agent broke its protocol: it ${what}`);
