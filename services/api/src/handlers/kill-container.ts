import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Sends a signal to a container's init, or to all its processes. */
export const killContainer = forwardToSandbox("killContainer");
