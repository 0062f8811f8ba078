import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Changes the limits of a container while it runs. */
export const updateContainer = forwardToSandbox("updateContainer");
