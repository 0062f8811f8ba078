import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Reports what runs in a container. */
export const listProcesses = forwardToSandbox("listProcesses");
