import type { PaddockError } from "@paddock/domain";
import type { AgentLink } from "../agent/agent-link.ts";
import type { AgentClient } from "../agent/connect-agent.ts";
import type { HostLimits, Machine, MachineSize } from "./machine-port.ts";

/** What is in force for a VM: what the guest has taken, what it should have, and the limits as the host's kernel has them. */
export type Applied = {
  readonly size: MachineSize;
  readonly wanted: MachineSize;
  readonly limits: HostLimits;
  /** CPUs of the host that each vCPU is held to, by its number; undefined: to those of the sandbox. */
  readonly pins: readonly string[] | undefined;
};

/** A VM from its boot to its end, and all that is known of it in this process and is in no record. */
export class RunningVm {
  readonly machine: Machine;
  readonly link: AgentLink;
  /** vCPUs that the guest uses, where it has the control of them; undefined until it was asked. */
  vcpusInUse: number | undefined;
  /** What is in force; undefined until the limits were applied. */
  applied: Applied | undefined;
  /** Whether the VM is being ended on purpose: its end is then no accident. */
  endExpected = false;
  /** Containers whose end a client has asked for: their end is then no accident. */
  readonly stopRequests = new Set<string>();
  /** The connection over which the guest's network was compared with its record last. */
  configuredOver: AgentClient | undefined;
  /** Whether its limits are about to be adjusted. */
  resizePending = false;
  /** Settles when what a container's end takes from the cap is taken; never rejects. */
  cpuLowered: Promise<void> = Promise.resolve();
  readonly #ending = new AbortController();

  /** `vcpusInUse` is what the guest was started with, if that is known. */
  constructor(machine: Machine, link: AgentLink, vcpusInUse?: number) {
    this.machine = machine;
    this.link = link;
    this.vcpusInUse = vcpusInUse;
  }

  /** Aborts when the sandbox has let go of the VM. */
  get lifetime(): AbortSignal {
    return this.#ending.signal;
  }

  /** Ends the link and what watches the VM. The machine is not touched. */
  leave(error: PaddockError): void {
    this.link.close(error);
    this.applied = undefined;
    this.#ending.abort(error);
  }
}
