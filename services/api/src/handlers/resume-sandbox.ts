import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Lets the vCPUs of a sandbox go on. */
export const resumeSandbox = forwardToSandbox("resumeSandbox");
