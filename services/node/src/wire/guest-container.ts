/** The request by which the guest's agent creates a container. Pure. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { invalidField } from "@paddock/domain";
import type { ImageConfig } from "@paddock/images";
import { agentpb, type ContainerSpec, type MountSpec } from "@paddock/protocol";
import { containerDisks } from "../record/container-disks.ts";
import { type HostShare, shareOfMount } from "../record/host-shares.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import type { SandboxVolume } from "../record/volume-record.ts";
import { limitsAtCreation } from "./guest-limits.ts";
import { initProcess } from "./init-process.ts";

/** Time for disks to appear in the guest; measured 45 ms, hot-plugged under emulation. */
const DISK_TIMEOUT_MS = 10_000;

/** What the container shares with the others of its sandbox. */
export type GuestPlace = {
  /** CPUs of the guest, such as "0-3"; empty means all. */
  readonly cpusetCpus?: string;
  /** Of the sandbox's VM. */
  readonly shares?: readonly HostShare[];
  /** The disks of the sandbox's volumes. */
  readonly volumes?: readonly SandboxVolume[];
  /** Its device files. */
  readonly devices?: readonly agentpb.ContainerDevice[];
};

/** The request to create a record's container in its guest. Throws INVALID_FIELD or WRONG_STATE. */
export function guestContainer(
  container: ContainerRecord,
  image: ImageConfig,
  { cpusetCpus = "", shares = [], volumes = [], devices = [] }: GuestPlace = {},
): agentpb.CreateContainerRequest {
  const { spec, containerId } = container;
  const { lower, upper } = containerDisks(container);
  return create(agentpb.CreateContainerRequestSchema, {
    containerId,
    instance: container.instance,
    rootfs: {
      lower: { target: lower.target, lun: 0 },
      ...(upper && { upper: { target: upper.target, lun: 0 } }),
      readOnly: spec.readOnlyRootfs,
    },
    process: initProcess(spec, image),
    hostname: spec.hostname,
    mounts: spec.mounts.map((mount) => guestMount(mount, { shares, targetOf: targetIn(volumes) })),
    resources: limitsAtCreation(container, cpusetCpus, volumes),
    sysctls: spec.sysctls,
    diskTimeout: durationFromMs(DISK_TIMEOUT_MS),
    devices: [...devices],
  });
}

/** Throws the errors that this spec alone would cause in the creation of its container, before any change. */
export function checkContainerSpec(
  spec: ContainerSpec,
  image: ImageConfig,
  shares: readonly HostShare[] = [],
): void {
  initProcess(spec, image);
  for (const mount of spec.mounts) guestMount(mount, { shares, targetOf: () => 0 });
}

/** What the sandbox has for the mounts of its containers. */
type Sources = {
  readonly shares: readonly HostShare[];
  /** The target of a volume's disk, by the volume's name. */
  readonly targetOf: (volume: string) => number;
};

const targetIn =
  (volumes: readonly SandboxVolume[]): Sources["targetOf"] =>
  (name) => {
    const found = volumes.find(({ volume }) => volume === name);
    if (found === undefined) throw new Error(`the sandbox has no disk for volume ${name}`);
    return found.target;
  };

function guestMount(mount: MountSpec, sources: Sources): agentpb.Mount {
  const { destination, readOnly, options } = mount;
  return create(agentpb.MountSchema, { destination, readOnly, options, source: guestSource(mount, sources) });
}

function guestSource(mount: MountSpec, { shares, targetOf }: Sources): agentpb.Mount["source"] {
  const { source, destination } = mount;
  switch (source.case) {
    case "tmpfs":
      return {
        case: "tmpfs",
        value: create(agentpb.TmpfsMountSchema, {
          sizeBytes: source.value.sizeBytes,
          mode: source.value.mode,
        }),
      };
    case "sharedDirectory":
      return { case: "shared", value: create(agentpb.SharedDirectorySchema, { name: source.value.name }) };
    case "file": {
      const { content, mode, uid, gid } = source.value;
      return { case: "file", value: create(agentpb.FileMountSchema, { content, mode, uid, gid }) };
    }
    case "volume":
      return {
        case: "disk",
        value: create(agentpb.DiskMountSchema, {
          disk: { target: targetOf(source.value.name), lun: 0 },
          fstype: "ext4",
        }),
      };
    case "hostDirectory": {
      const { tag } = shareOfMount(shares, mount, source.value.path);
      return { case: "virtiofs", value: create(agentpb.VirtiofsMountSchema, { tag }) };
    }
    case undefined:
      throw invalidField(
        "spec.mounts",
        "each must have a source",
        `the mount at ${destination} has no source`,
      );
    default:
      return source satisfies never;
  }
}
