import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Reports spec, status and placement. */
export const getSandbox = forwardToSandbox("getSandbox");
