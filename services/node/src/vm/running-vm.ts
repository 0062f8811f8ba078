import type { PaddockError } from "@paddock/domain";
import type { AgentLink } from "../agent/agent-link.ts";
import type { AgentClient } from "../agent/connect-agent.ts";
import type { HostLimits, Machine, MachineSize } from "./machine-port.ts";

/** The limits in force for a VM: the guest's actual size, the size it should have, and the host kernel's limits. */
export type Applied = {
  readonly size: MachineSize;
  readonly wanted: MachineSize;
  readonly limits: HostLimits;
  /** Host CPUs that each vCPU is pinned to, by vCPU number; undefined means those of the sandbox. */
  readonly pins: readonly string[] | undefined;
};

/** A VM from its boot to its end, with all its state in this process that is in no record. */
export class RunningVm {
  readonly machine: Machine;
  readonly link: AgentLink;
  /** vCPUs that the guest uses, where it controls them; undefined until it was asked. */
  vcpusInUse: number | undefined;
  /** Undefined until the limits were applied. */
  applied: Applied | undefined;
  /** Whether the VM is being ended on purpose: its end is then not a loss. */
  endExpected = false;
  /** Containers whose end a client has requested. */
  readonly stopRequests = new Set<string>();
  /** The connection on which the guest's network was last compared with the record. */
  configuredOver: AgentClient | undefined;
  /** Whether its limits are about to be adjusted. */
  resizePending = false;
  /** Settles when the cap is lowered after the end of a container; never rejects. */
  cpuLowered: Promise<void> = Promise.resolve();
  readonly #ending = new AbortController();

  /** `vcpusInUse` is the number that the guest was started with, if known. */
  constructor(machine: Machine, link: AgentLink, vcpusInUse?: number) {
    this.machine = machine;
    this.link = link;
    this.vcpusInUse = vcpusInUse;
  }

  /** Aborts when the sandbox is detached from the VM. */
  get lifetime(): AbortSignal {
    return this.#ending.signal;
  }

  /** Closes the link and ends the VM's watchers. The machine keeps running. */
  close(error: PaddockError): void {
    this.link.close(error);
    this.applied = undefined;
    this.#ending.abort(error);
  }
}
