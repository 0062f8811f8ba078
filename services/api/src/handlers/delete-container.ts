import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Removes a container with its writable layer and logs. */
export const deleteContainer = forwardToSandbox("deleteContainer");
