import { locateSandbox } from "../sandboxes/locate-sandbox.ts";

export const askEveryNode = locateSandbox;
