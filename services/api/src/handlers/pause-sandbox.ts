import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Stops the vCPUs of a sandbox. */
export const pauseSandbox = forwardToSandbox("pauseSandbox");
