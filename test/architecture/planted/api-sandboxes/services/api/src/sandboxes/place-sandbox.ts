import { askEveryNode } from "../lists/ask-every-node.ts";

export const placeSandbox = askEveryNode;
