/** Specs as shown by the API: as requested, with the node's defaults filled in, and with the current containers. */
import { create } from "@bufbuild/protobuf";
import {
  type ContainerSpec,
  LogPolicySchema,
  type SandboxSpec,
  type VmResources,
  VmResourcesSchema,
} from "@paddock/protocol";
import { layerBytes } from "../record/container-disks.ts";
import { guestHostname } from "../record/guest-hostname.ts";
import { logLimitsOf } from "../record/log-limits.ts";
import type { ContainerRecord, SandboxRecord } from "../record/sandbox-record.ts";

/** The agent's default. */
const DEFAULT_SHM_BYTES = 64n * 1024n * 1024n;

/** The spec of a sandbox, with the existing containers. */
export const shownSpec = (record: SandboxRecord): SandboxSpec => ({
  ...record.spec,
  hostname: record.spec.hostname || guestHostname(record.sandboxId),
  resources: vmResources(record),
  shmSizeBytes: record.spec.shmSizeBytes || DEFAULT_SHM_BYTES,
  containers: record.containers.map(shownContainerSpec),
});

/** The spec of a container, with the limits of updates. Values from its image are left out. */
export function shownContainerSpec(container: ContainerRecord): ContainerSpec {
  const { spec } = container;
  const { maxFileBytes, maxFiles } = logLimitsOf(spec.log);
  return {
    ...spec,
    writableLayerBytes: spec.readOnlyRootfs ? 0n : BigInt(layerBytes(container)),
    log: create(LogPolicySchema, { maxFileBytes: BigInt(maxFileBytes), maxFiles }),
  };
}

const vmResources = ({ size }: SandboxRecord): VmResources =>
  create(VmResourcesSchema, {
    vcpus: size.vcpus,
    maxVcpus: size.maxVcpus,
    memoryBytes: BigInt(size.memoryBytes),
    maxMemoryBytes: BigInt(size.maxMemoryBytes ?? size.memoryBytes),
  });
