import type { HostLimits, MachineSize } from "../machine/machine-port.ts";

/** What is in force: what the guest has taken, what it should have, and the limits as the host's kernel has them. */
export type Applied = {
  readonly size: MachineSize;
  readonly wanted: MachineSize;
  readonly limits: HostLimits;
};
