import type { AgentLink } from "../agent/agent-link.ts";
import type { SandboxPaths } from "../record/sandbox-paths.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import type { Applied } from "../vm/running-vm.ts";

/** A sandbox as streams, logs and statistics see it: its record, its paths, and its guest. */
export interface LiveSandbox {
  readonly sandboxId: string;
  /** The newest snapshot; never waits. */
  readonly record: SandboxRecord;
  readonly paths: SandboxPaths;
  /**
   * The link to the guest of the present VM; `agent.client({signal, deadlineMs})` returns the services, and waits while the
   * link reconnects. A later boot has another link. Throws WRONG_STATE when there is no VM, NO_DISK_SPACE while a full disk
   * suspends the VM.
   */
  readonly agent: AgentLink;
  /** The same, for callers that can wait while the VM is suspended. */
  readonly link: AgentLink;
  /** The limits in force for the VM, if they are known. */
  readonly applied: Applied | undefined;
  /**
   * Settles when the end of the container is in the record, or after a second. The record gets the end on a stream of its own,
   * so code that reports an end to a client waits for this first: the client's next request then agrees with the report.
   */
  endRecorded(containerId: string): Promise<void>;
}

/** Finds sandboxes. */
export interface LiveSandboxes {
  /** Throws SANDBOX_NOT_FOUND or RECORD_CORRUPT. */
  require(sandboxId: string): LiveSandbox;
  /**
   * Throws STALE_GENERATION for a request of a superseded placement. A newer generation of an existing sandbox is recorded. A
   * sandbox that is not on this node has nothing to protect.
   */
  fence(sandboxId: string, generation: bigint): void;
}
