import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Reports what a sandbox uses, by its host and by its guest. */
export const getSandboxStats = forwardToSandbox("getSandboxStats");
