/** Creates a sandbox: everything is checked before any change, and on failure nothing is left. */

import { create } from "@bufbuild/protobuf";
import {
  type Amount,
  admit,
  diskDemandBytes,
  invalidField,
  PaddockError,
  parseContainerId,
  parseSandboxId,
  requireDiskSpace,
  sandboxVmSize,
  withUnknownOutcome,
} from "@paddock/domain";
import type { ImageRecord } from "@paddock/images";
import { formatAddress, guestInterface } from "@paddock/network";
import { type ContainerSpec, type SandboxSpec, SandboxSpecSchema } from "@paddock/protocol";
import { requireImage } from "../containers/require-image.ts";
import type { NodeContext } from "../node-context.ts";
import { type ContainerPlace, freePlace } from "../record/container-place.ts";
import { hostSharesOf } from "../record/host-shares.ts";
import { type NetworkRecord, NO_NETWORK } from "../record/network-record.ts";
import { checkRecordSize } from "../record/record-size.ts";
import type { ContainerRecord, SandboxRecord } from "../record/sandbox-record.ts";
import { usesOf, volumesToAdd } from "../record/sandbox-volumes.ts";
import { vmOverheadBytesOf } from "../record/vm-overhead.ts";
import { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { VM_OVERHEAD_BYTES } from "../sandboxes/sandbox-registry.ts";
import { newVmId, type VmId } from "../vm/vm-paths.ts";
import { checkContainerSpec } from "../wire/guest-container.ts";
import { stopSignalOf } from "../wire/init-process.ts";
import { callersNamespace, interfaceSlots, publishedPorts, wantsNetwork } from "../wire/network-spec.ts";
import { creation, followLogs, ready } from "./boot.ts";
import { networkInNamespace } from "./caller-namespace.ts";
import { forget } from "./delete-sandbox.ts";
import { bootOf } from "./steps/boot-context.ts";

export type CreateRequest = { readonly sandboxId: string; readonly spec?: SandboxSpec | undefined };

export type CreateCall<T> = {
  readonly requestId: string;
  readonly generation: bigint;
  readonly signal: AbortSignal;
  readonly name: string;
  /**
   * The caller's part of the creation, once the sandbox is ready and with the lock still held. Its failure fails the creation.
   */
  readonly whenReady: (entry: SandboxEntry) => Promise<T>;
};

/** The sandbox that an earlier call of this request created, if it still exists. */
export function createdBefore(
  ctx: NodeContext,
  { sandboxId }: CreateRequest,
  { requestId }: Pick<CreateCall<unknown>, "requestId">,
): SandboxEntry | undefined {
  const known = ctx.sandboxes.find(sandboxId);
  if (known?.record.requestId !== requestId) return undefined;
  const { kind } = known.record.phase;
  return kind === "creating" || kind === "deleting" ? undefined : known;
}

/**
 * Creates a sandbox in state `ready` and returns the result of `whenReady`. Throws SANDBOX_EXISTS, NO_CAPACITY, NO_DISK_SPACE,
 * IMAGE_NOT_FOUND, VOLUME_NOT_FOUND, VOLUME_IN_USE or INVALID_FIELD before any side effect, and the errors of the boot and of
 * `whenReady`.
 */
export async function createSandboxEntry<T>(
  ctx: NodeContext,
  request: CreateRequest,
  call: CreateCall<T>,
): Promise<T> {
  const spec = request.spec ?? create(SandboxSpecSchema);
  const sandboxId = parseSandboxId(request.sandboxId);
  if (sandboxId === undefined) throw badId(request.sandboxId);
  ctx.sandboxes.requireFree(sandboxId);
  checkContainerIds(spec.containers);
  const interfaces = wantsNetwork(spec.network, ctx.network !== undefined) ? 1 : 0;
  const netns = callersNamespace(spec.network, ctx.allowsNamespaces);
  const inNetns = netns === undefined ? undefined : await networkFor(ctx, netns, spec, call.signal);
  checkRecordSize({ spec, containers: spec.containers.map((each) => ({ spec: each })) });
  const shares = hostSharesOf(spec);
  await ctx.shares.check(shares);
  const size = sandboxVmSize(spec, ctx.sizeDefaults);
  const demand: Amount = {
    milliCpus: size.vcpus * 1000,
    memoryBytes: size.memoryBytes + vmOverheadBytesOf(VM_OVERHEAD_BYTES, spec),
    diskBytes: diskDemandBytes(spec.containers),
  };
  const freeDiskBytes = await ctx.freeDiskBytes();
  using pins = new DisposableStack();
  const images = new Map<string, ImageRecord>();
  const containers: ContainerRecord[] = [];
  for (const container of spec.containers) {
    const image = requireImage(ctx, container.image);
    pins.use(ctx.sandboxes.pinImage(image.id));
    checkContainerSpec(container, image.config, shares);
    images.set(image.id, image);
    containers.push(newContainer(container, image, freePlace(containers, container), call.requestId, ctx));
  }
  const volumes = volumesToAdd(
    { sandboxId, containers, volumes: [], devices: [], operations: [] },
    usesOf(containers),
  );
  // Nothing waits between here and the claims, so that two requests cannot both get the same room or volume.
  using claim = claimRoom(ctx, sandboxId, { demand, freeDiskBytes, interfaces });
  using _volumes = ctx.volumes.claim(sandboxId, volumes);
  return await ctx.lock.with(sandboxId, call, async () => {
    const vm = { id: newVmId(), slot: claim.slot };
    await using reserved = new AsyncDisposableStack();
    reserved.defer(() => ctx.ports.release(vm.id));
    const network = inNetns ?? (await networkOf(ctx, { spec, indexes: claim.indexes, vmId: vm.id }));
    const record: SandboxRecord = {
      sandboxId,
      version: 1,
      generation: call.generation,
      requestId: call.requestId,
      spec,
      size,
      vm,
      network,
      createdAtMs: ctx.nowMs(),
      bootDurationMs: 0,
      agentSequence: 0,
      guestBootId: "",
      eventSequence: 0,
      phase: { kind: "creating" },
      containers,
      volumes,
      devices: [],
      operations: [],
    };
    const entry = SandboxEntry.create(record, ctx);
    ctx.sandboxes.add(entry);
    // From here on they belong to the sandbox and are released with it.
    reserved.move();
    return await bringUp(ctx, entry, images, call);
  });
}

async function bringUp<T>(
  ctx: NodeContext,
  entry: SandboxEntry,
  images: ReadonlyMap<string, ImageRecord>,
  { signal, whenReady }: CreateCall<T>,
): Promise<T> {
  try {
    const boot = bootOf(ctx, entry, images);
    await creation.run(boot, { signal, done: (record) => ready(record, boot) });
    followLogs(boot);
    return await whenReady(entry);
  } catch (error) {
    const isGone = await forget(ctx, entry);
    throw isGone ? error : withUnknownOutcome(error);
  }
}

const networkFor = (ctx: NodeContext, name: string, { network }: SandboxSpec, signal: AbortSignal) =>
  networkInNamespace(ctx, { name, slots: interfaceSlots(network) }, signal);

type NetworkClaim = {
  readonly spec: SandboxSpec;
  readonly indexes: readonly number[];
  readonly vmId: VmId;
};

/** The network of a new sandbox, with its host ports reserved. Throws NetworkError `taken` for a port that is in use. */
async function networkOf(
  { network, ports }: NodeContext,
  { spec, indexes, vmId }: NetworkClaim,
): Promise<NetworkRecord> {
  const [first] = indexes;
  if (network === undefined || first === undefined) return NO_NETWORK;
  const { mac, v4 } = guestInterface(network.network, first);
  return {
    interfaces: [{ interfaceId: "eth0", name: "eth0", index: first, mac }],
    slots: interfaceSlots(spec.network),
    published: await ports.reserve(vmId, publishedPorts(spec.network), formatAddress(v4)),
  };
}

/** The initial record of a container. */
export function newContainer(
  spec: ContainerSpec,
  image: ImageRecord,
  place: ContainerPlace,
  requestId: string,
  { nowMs, newId }: Pick<NodeContext, "nowMs" | "newId">,
): ContainerRecord {
  const containerId = parseContainerId(spec.containerId);
  if (containerId === undefined) throw badId(spec.containerId);
  return {
    containerId,
    instance: newId(),
    requestId,
    spec,
    imageId: image.id,
    imageBlob: image.blob,
    stopSignal: stopSignalOf(image.config),
    ...place,
    createdAtMs: nowMs(),
    oomKillCount: 0,
    restarts: 0,
    phase: { kind: "ready" },
  };
}

type Room = { readonly demand: Amount; readonly freeDiskBytes: number; readonly interfaces: number };

function claimRoom(ctx: NodeContext, sandboxId: string, { demand, freeDiskBytes, interfaces }: Room) {
  const { capacity, diskFloorBytes, sandboxes } = ctx;
  sandboxes.requireFree(sandboxId);
  admit(demand, { capacity, allocated: sandboxes.allocated() });
  requireDiskSpace(freeDiskBytes, diskFloorBytes);
  return sandboxes.claim(sandboxId, demand, interfaces);
}

function checkContainerIds(containers: readonly ContainerSpec[]): void {
  const seen = new Set<string>();
  for (const { containerId } of containers) {
    if (seen.has(containerId))
      throw new PaddockError("CONTAINER_EXISTS", `the spec names container ${containerId} twice`);
    seen.add(containerId);
  }
}

const badId = (id: string): PaddockError =>
  invalidField(
    "sandbox_id",
    "must match ^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$",
    `${JSON.stringify(id.slice(0, 64))} is not an id`,
  );
