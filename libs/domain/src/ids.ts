/**
 * Ids can become part of a path, a subject or a cgroup name, so they are parsed first.
 *
 * All ids share one alphabet, without slashes, blanks, and NATS or glob wildcards. An id does not begin with a dot or a dash, and
 * is at most 128 characters long (a request id 64).
 */
const ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
const REQUEST_ID = /^[a-zA-Z0-9_.:-]{1,64}$/;

export type SandboxId = string & { readonly __id: "sandbox" };
export type ContainerId = string & { readonly __id: "container" };
export type ExecId = string & { readonly __id: "exec" };
export type NodeId = string & { readonly __id: "node" };
export type RequestId = string & { readonly __id: "request" };

/** The sandbox id, or undefined when `raw` is not one. */
export const parseSandboxId = (raw: string): SandboxId | undefined =>
  ID.test(raw) ? (raw as SandboxId) : undefined;

/** The container id, or undefined when `raw` is not one. */
export const parseContainerId = (raw: string): ContainerId | undefined =>
  ID.test(raw) ? (raw as ContainerId) : undefined;

/** The exec id, or undefined when `raw` is not one. */
export const parseExecId = (raw: string): ExecId | undefined => (ID.test(raw) ? (raw as ExecId) : undefined);

/** The node id, or undefined when `raw` is not one. */
export const parseNodeId = (raw: string): NodeId | undefined => (ID.test(raw) ? (raw as NodeId) : undefined);

/** The request id (1 to 64 characters), or undefined when `raw` is not one. */
export const parseRequestId = (raw: string): RequestId | undefined =>
  REQUEST_ID.test(raw) ? (raw as RequestId) : undefined;
