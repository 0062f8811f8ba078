import { forwardToSandbox } from "../sandboxes/ask-sandbox.ts";

/** Reads the figures of a container once. */
export const getContainerStats = forwardToSandbox("getContainerStats");
