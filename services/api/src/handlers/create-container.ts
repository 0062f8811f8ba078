import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Creates a container in a sandbox. */
export const createContainer = forwardToSandbox("createContainer");
