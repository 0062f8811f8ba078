import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Executes the command of a container. */
export const startContainer = forwardToSandbox("startContainer");
