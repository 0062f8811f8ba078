import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Ends a container, gently first. */
export const stopContainer = forwardToSandbox("stopContainer");
