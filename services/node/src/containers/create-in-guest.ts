import { hasReason } from "@paddock/domain";
import type { ImageConfig } from "@paddock/images";
import { hostSharesOf } from "../record/host-shares.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import { volumesOf } from "../record/sandbox-volumes.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { guestDevices } from "../wire/declare-device.ts";
import { guestContainer } from "../wire/guest-container.ts";
import { cpusetInGuest } from "../wire/guest-limits.ts";

const CREATE_TIMEOUT_MS = 30_000;
const REMOVE_TIMEOUT_MS = 15_000;

export type CreateInGuestOptions = {
  readonly config: ImageConfig;
  /** Containers that share the guest's CPUs with it. */
  readonly counted: readonly ContainerRecord[];
  readonly signal: AbortSignal;
};

/** Creates a container in the guest, without executing its command. Its disks must be plugged in. */
export async function createInGuest(
  entry: SandboxEntry,
  container: ContainerRecord,
  { config, counted, signal }: CreateInGuestOptions,
): Promise<void> {
  const vcpus = entry.applied?.size.vcpus ?? entry.record.size.vcpus;
  const request = guestContainer(container, config, {
    cpusetCpus: cpusetInGuest(container, counted, vcpus),
    shares: hostSharesOf(entry.record.spec),
    volumes: volumesOf(entry.record),
    devices: guestDevices(entry.record, container.containerId),
  });
  const { containers } = await entry.agent.client({ signal });
  await containers.createContainer(request, { signal, timeoutMs: CREATE_TIMEOUT_MS });
}

/** Removes a container from the guest, with all its processes. Succeeds when the guest does not have it. */
export async function removeFromGuest(
  entry: SandboxEntry,
  containerId: string,
  signal: AbortSignal,
): Promise<void> {
  const { containers } = await entry.agent.client({ signal, deadlineMs: REMOVE_TIMEOUT_MS });
  await containers
    .removeContainer({ containerId }, { signal, timeoutMs: REMOVE_TIMEOUT_MS })
    .catch((error: unknown) => {
      if (!hasReason(error, "CONTAINER_NOT_FOUND")) throw error;
    });
}
