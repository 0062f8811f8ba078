import type { AgentLink } from "../agent/agent-link.ts";
import type { SandboxPaths } from "../record/sandbox-paths.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import type { Applied } from "../vm/running-vm.ts";

/** A sandbox as streams, logs and statistics see it: what it is, where it is, and its guest. */
export interface LiveSandbox {
  readonly sandboxId: string;
  /** The newest snapshot; never waits. */
  readonly record: SandboxRecord;
  readonly paths: SandboxPaths;
  /**
   * The link to the guest of the present VM; `agent.client({signal, deadlineMs})` gives the services, waiting while the link
   * is made again. A later boot has another link. Throws WRONG_STATE when there is no VM, NO_DISK_SPACE while the VM stands still.
   */
  readonly agent: AgentLink;
  /** The same for who is in no hurry, also while the VM stands still. */
  readonly link: AgentLink;
  /** What is in force for its VM, if that is known. */
  readonly applied: Applied | undefined;
  /**
   * Settles when the end of the container is in the record, at the latest after a second. Whoever tells a client of the end waits for
   * this first, so that what the client asks next agrees with it: the record learns of the end on a stream of its own.
   */
  endRecorded(containerId: string): Promise<void>;
}

/** Finds sandboxes. */
export interface LiveSandboxes {
  /** Throws SANDBOX_NOT_FOUND or RECORD_CORRUPT. */
  require(sandboxId: string): LiveSandbox;
  /**
   * Throws STALE_GENERATION for a request of a placement that was superseded; a newer one of a sandbox that is here already is
   * taken over. A sandbox that is not here has nothing to protect.
   */
  fence(sandboxId: string, generation: bigint): void;
}
