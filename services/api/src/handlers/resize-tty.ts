import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Sets the size of a process's terminal. */
export const resizeTty = forwardToSandbox("resizeTty");
