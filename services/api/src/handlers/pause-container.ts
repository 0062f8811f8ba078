import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Freezes the processes of a container. */
export const pauseContainer = forwardToSandbox("pauseContainer");
