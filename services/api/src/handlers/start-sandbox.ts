import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Starts the containers of a sandbox, booting its VM again if need be. */
export const startSandbox = forwardToSandbox("startSandbox");
