import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Stops the containers of a sandbox, then its VM. */
export const stopSandbox = forwardToSandbox("stopSandbox");
