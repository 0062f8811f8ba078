export { buildNetprobe, Conversation, joinNamespaces, Namespace } from "./namespace.ts";
