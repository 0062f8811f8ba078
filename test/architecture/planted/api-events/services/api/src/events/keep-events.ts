import { askNode } from "../nodes/ask-node.ts";

export const keepEvents = askNode;
