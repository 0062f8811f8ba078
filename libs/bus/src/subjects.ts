/**
 * Names on the bus.
 *
 * Ids may contain dots, which separate the tokens of a subject. A dot is written as "=", which no id contains, so an id is one
 * token and two ids never share one. No other character of an id has a meaning in NATS: ids contain no blanks and no wildcards.
 */
const token = (id: string): string => id.replaceAll(".", "=");

/** Subject of commands to a node. */
export const commandSubject = (nodeId: string): string => `paddock.v1.node.${token(nodeId)}.cmd`;

/** Subject that informs a node that the caller of a command has cancelled. */
export const cancelSubject = (nodeId: string): string => `paddock.v1.node.${token(nodeId)}.cancel`;

/** Subject that asks a node whether it works on a command. */
export const runningSubject = (nodeId: string): string => `paddock.v1.node.${token(nodeId)}.running`;

/** The JetStream stream of events. */
export const EVENTS_STREAM = "PADDOCK_EVENTS";

/** Subjects of that stream. */
export const EVENTS_SUBJECTS = "paddock.v1.evt.>";

/** Subject of the events of a sandbox. Without a node it is a filter for that sandbox on all nodes. */
export const eventSubject = (sandboxId: string, nodeId?: string): string =>
  `paddock.v1.evt.${nodeId === undefined ? "*" : token(nodeId)}.${token(sandboxId)}`;

/** Key of an id in a JetStream KV bucket. */
export const keyOfId = (id: string): string => token(id);

/** Id of a key in a JetStream KV bucket. */
export const idOfKey = (key: string): string => key.replaceAll("=", ".");

/** Bucket of heartbeats, by node id. */
export const NODES_BUCKET = "paddock_nodes";

/** Bucket of placements, by sandbox id. */
export const SANDBOXES_BUCKET = "paddock_sandboxes";

/** Header with the id of a command, for its cancellation. */
export const COMMAND_ID_HEADER = "Paddock-Command-Id";

/** Header with the time that the caller of a command waits, in milliseconds from its arrival: hosts' clocks differ. */
export const TIME_LEFT_HEADER = "Paddock-Time-Left-Ms";

/** Prefix of the reply subjects of a node. NATS permissions let it read only these. */
export const nodeInboxPrefix = (nodeId: string): string => `_INBOX_node_${token(nodeId)}`;

/** Prefix of the reply subjects of the apis. */
export const API_INBOX_PREFIX = "_INBOX_api";
