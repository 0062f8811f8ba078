import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Thaws the processes of a container. */
export const resumeContainer = forwardToSandbox("resumeContainer");
