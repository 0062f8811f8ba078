import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Sends a signal to one process. */
export const signalProcess = forwardToSandbox("signalProcess");
