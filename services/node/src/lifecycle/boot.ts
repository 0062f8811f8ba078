/** The steps that boot a sandbox, new or stopped. */

import type { ContainerRecord, SandboxRecord } from "../record/sandbox-record.ts";
import { acquireSteps } from "../resources/walks.ts";
import { operation } from "./operation.ts";
import { attach } from "./steps/attach.ts";
import type { Boot, BootStep } from "./steps/boot-context.ts";
import { containers } from "./steps/containers.ts";
import { guest } from "./steps/guest.ts";
import { limits } from "./steps/limits.ts";

/** The steps after the start of the VM's process. */
export const GUEST_STEPS: readonly BootStep[] = [attach, guest, containers, limits];

/** For a new sandbox. After a crash its phase is `creating`, and it is deleted. */
export const creation = operation<Boot>({
  name: "create",
  steps: ({ resources }) => [...acquireSteps(resources, "all"), ...GUEST_STEPS],
});

/** For a stopped sandbox. After a crash its phase is `stopped`, and its VM is released. */
export const boot = operation<Boot>({
  name: "boot",
  steps: ({ resources }) => [...acquireSteps(resources, "of-the-boot"), ...GUEST_STEPS],
});

/** The record of a sandbox whose VM runs and whose containers wait for their start. Throws the cause if the VM is gone. */
export function ready({ unhealthy: _, ...record }: SandboxRecord, { entry }: Boot): SandboxRecord {
  if (entry.vm === undefined) throw entry.lost;
  const { pid, startTicks, bootId } = entry.vm.machine.identity;
  return {
    ...record,
    phase: { kind: "ready", machine: { pid, startTicks, bootId } },
    containers: record.containers.map(
      (container): ContainerRecord => ({
        ...container,
        oomKillCount: 0,
        restarts: 0,
        phase: { kind: "ready" },
      }),
    ),
  };
}

/** Follows the logs of the containers that a boot has created. A log's run is named after the VM's process. */
export function followLogs({ node, entry }: Pick<Boot, "node" | "entry">): void {
  for (const { containerId } of entry.record.containers) node.logs.follow(entry, containerId);
}
