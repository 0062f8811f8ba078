import type { HostLimits, MachineSize } from "../machine/machine-port.ts";

/** What is in force: what the guest has taken, what it should have, and the limits as the host's kernel has them. */
export type Applied = {
  readonly size: MachineSize;
  readonly wanted: MachineSize;
  readonly limits: HostLimits;
  /** CPUs of the host that each vCPU is held to, by its number; undefined: to those of the sandbox. */
  readonly pins: readonly string[] | undefined;
};
