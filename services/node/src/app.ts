/** The daemon, wired by hand. The order of the start-up matters for safety: lock, store, recovery, and only then the bus. */
import { randomUUID } from "node:crypto";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  Bus,
  type CommandServer,
  EventStream,
  logBusEvents,
  nodeInboxPrefix,
  serveCommands,
} from "@paddock/bus";
import { GUEST_OVERHEAD_BYTES, MIB, PaddockError } from "@paddock/domain";
import { openImageStore } from "@paddock/images";
import { KeyedLock, untilAborted } from "@paddock/lifecycle";
import { toStatus } from "@paddock/protocol";
import { EMULATION_CODE_BYTES, StealTime } from "@paddock/qemu";
import { createRequestCheck } from "@paddock/rpc";
import { startTracing } from "@paddock/telemetry";
import { AgentLink } from "./agent/agent-link.ts";
import { commandHandler } from "./command-handler.ts";
import type { NodeConfig } from "./config.ts";
import { HostDisks } from "./devices/host-disks.ts";
import { EventPublisher } from "./events/event-publisher.ts";
import { Heartbeat } from "./heartbeat.ts";
import { freeBytes, totalBytes } from "./host/disk-space.ts";
import { type Host, readBootId, readHost } from "./host/host-facts.ts";
import { LogBook } from "./logs/log-book.ts";
import { CallerNamespaces } from "./network/caller-namespaces.ts";
import { HostPorts } from "./network/host-ports.ts";
import { openNetwork } from "./network/open-network.ts";
import type { NodeContext } from "./node-context.ts";
import type { NodeLog } from "./node-log.ts";
import { observeCommands } from "./observe-commands.ts";
import { sandboxesDir } from "./record/sandbox-paths.ts";
import { recover } from "./recovery/recover.ts";
import { HOST_RESOURCES } from "./resources/host-resources.ts";
import { WritableLayers } from "./resources/writable-layers.ts";
import { COMMAND_LIMITS, kindOf } from "./routes.ts";
import { AddressLeases } from "./sandboxes/address-leases.ts";
import { SandboxRegistry, VM_OVERHEAD_BYTES } from "./sandboxes/sandbox-registry.ts";
import type { VolumeUsers } from "./sandboxes/volume-users.ts";
import { ShareServers } from "./shares/share-servers.ts";
import { NodeStore } from "./store/node-store.ts";
import { lockState } from "./store/state-lock.ts";
import { unwritableState } from "./store/store-error.ts";
import { startStreamServer } from "./stream-server.ts";
import { VERSION } from "./version.ts";
import { QemuHost } from "./vm/qemu-host.ts";
import { VmCgroups } from "./vm/vm-cgroups.ts";
import { vmsDir } from "./vm/vm-paths.ts";
import { makeVolumeFileSystem, VolumeFiles } from "./volumes/volume-files.ts";
import { Volumes } from "./volumes/volumes.ts";

/** Emulation keeps translated code up to a limit, and its bookkeeping; see the README of libs/qemu. */
const EMULATION_SLACK_BYTES = EMULATION_CODE_BYTES + 64 * MIB;
const COMMAND_GRACE_MS = 10_000;

/** A running daemon. Disposing of it stops accepting commands, answers those in progress and ends streams; VMs continue. */
export type NodeApp = AsyncDisposable & {
  readonly nodeId: string;
  readonly streamAddress: string;
  readonly daemonInstanceId: string;
};

/** Starts the daemon, which serves when this resolves. On failure it throws and leaves only the state directory. */
export async function startNode(config: NodeConfig, log: NodeLog, signal: AbortSignal): Promise<NodeApp> {
  await using stack = new AsyncDisposableStack();
  const daemonInstanceId = randomUUID();
  const tracing = await startTracing({ serviceName: "paddock-node", endpoint: config.otlpEndpoint });
  stack.defer(() => tracing.shutdown());
  await prepareStateDir(config.stateDir);
  stack.use(lockState(join(config.stateDir, "lock.db")));
  const store = stack.use(openStore(config, log));
  const host = await readHost(config);
  log.info({ accelerator: host.accelerator, qemu: host.qemuVersion }, "checked the host");
  const logs = stack.use(
    new LogBook(({ sandboxId: sandbox, containerId: container, problem: err }) =>
      log.warn({ sandbox, container, err }, "a container's log failed; without an error: it works again"),
    ),
  );
  let heartbeat: Heartbeat | undefined;
  let publisher: EventPublisher | undefined;
  const onChange = () => {
    heartbeat?.changed();
    publisher?.wake();
  };
  const images = await openImageStore({
    root: join(config.stateDir, "images"),
    limits: { minFreeBytes: config.diskFloorBytes },
  });
  const ports = stack.use(new HostPorts());
  const { stateDir } = config;
  const network = config.network && stack.use(await openNetwork(config.network, { stateDir, log }));
  const opened = { log, store, host, logs, images, onChange, network, ports };
  const context = await openContext(config, opened);
  stack.defer(() => detachAll(context));
  log.info(await recover(context), "recovered");
  const streams = stack.use(await startStreamServer({ ...context, images, logs }, config.streams));
  const bus = stack.use(
    new Bus({
      url: config.natsUrl,
      files: config.natsFiles,
      name: `paddock-node-${config.nodeId}`,
      inboxPrefix: nodeInboxPrefix(config.nodeId),
      onEvent: logBusEvents(log),
    }),
  );
  await untilAborted(bus.ready, signal);
  publisher = stack.use(new EventPublisher({ store, stream: new EventStream(bus), log }));
  const commands = serve(bus, context, daemonInstanceId);
  stack.defer(() => commands.stop(COMMAND_GRACE_MS));
  const { qemuVersion, guest } = host;
  heartbeat = stack.use(
    new Heartbeat(bus, context, {
      streamAddress: streams.advertised,
      daemonInstanceId,
      node: { version: VERSION, qemuVersion, guestKernel: guest.kernelRelease, labels: config.labels },
    }),
  );
  await heartbeat.start();
  const moved = stack.move();
  return {
    nodeId: config.nodeId,
    streamAddress: streams.address,
    daemonInstanceId,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

function openStore({ stateDir }: NodeConfig, log: NodeLog): NodeStore {
  return new NodeStore(join(stateDir, "node.db"), Date.now, {
    onEventsDropped: (count) =>
      log.error(
        { count },
        "the outbox is full because NATS is unreachable: dropped unpublished events, watchers see a gap",
      ),
  });
}

function serve(bus: Bus, context: NodeContext, daemonInstanceId: string): CommandServer {
  const handler = observeCommands(commandHandler(context, createRequestCheck()), context.log);
  return serveCommands(bus, context.nodeId, handler, {
    limits: COMMAND_LIMITS,
    kindOf,
    daemonInstanceId,
    toStatus,
  });
}

/** Other users may traverse the directory (a VM's user must reach its own), but not list it. */
async function prepareStateDir(stateDir: string): Promise<void> {
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o711 });
    await chmod(stateDir, 0o711);
    await mkdir(sandboxesDir(stateDir), { recursive: true, mode: 0o700 });
    await mkdir(vmsDir(stateDir), { recursive: true, mode: 0o711 });
  } catch (error) {
    throw unwritableState(error);
  }
}

/** Created before the context. */
type Parts = Pick<NodeContext, "log" | "store" | "logs" | "images" | "onChange" | "network" | "ports"> & {
  readonly host: Host;
};

async function openContext(config: NodeConfig, parts: Parts): Promise<NodeContext> {
  const { host, ...opened } = parts;
  const { stateDir, nodeId } = config;
  const cgroups = await VmCgroups.open(stateDir);
  const machines = new QemuHost({
    binary: config.qemuBinary,
    accelerator: host.accelerator.accelerator,
    cpuModel: host.accelerator.cpuModel,
    groups: host.groups,
    guest: host.guest,
    cgroups,
    stateDir,
    freeBytes,
  });
  const layers = await WritableLayers.open(join(stateDir, "layer-templates"));
  const sandboxes = new SandboxRegistry(GUEST_OVERHEAD_BYTES, {
    leases: parts.network && new AddressLeases(parts.network.network),
  });
  const vcpuLimit = config.maxVcpus || Math.min(240, Math.floor(host.cpus * config.cpuOvercommit));
  return {
    ...opened,
    disks: new HostDisks(config.deviceDirectories),
    namespaces: new CallerNamespaces(stateDir),
    allowsNamespaces: config.allowsNamespaces,
    shares: new ShareServers({ allowed: config.hostDirectories, stateDir, log: parts.log }),
    nodeId,
    stateDir,
    bootId: readBootId(),
    isolation: host.isolation,
    vmUidBase: config.vmUidBase,
    sizeDefaults: {
      vcpus: config.defaultVcpus,
      maxVcpus: Math.min(vcpuLimit, Math.max(host.cpus, config.defaultVcpus)),
      vcpuLimit,
      memoryBytes: config.defaultMemoryBytes,
      maxMemoryBytes: host.capacity.memoryBytes,
      guestOverheadBytes: GUEST_OVERHEAD_BYTES,
    },
    vmOverheadBytes: VM_OVERHEAD_BYTES + (host.accelerator.accelerator === "kvm" ? 0 : EMULATION_SLACK_BYTES),
    capacity: host.capacity,
    hostCpus: host.cpuList,
    diskFloorBytes: config.diskFloorBytes,
    bootTimeoutMs: config.bootTimeoutMs,
    sandboxes,
    volumes: await openVolumes(config, parts, { layers, users: sandboxes.volumes }),
    volumeLock: new KeyedLock(),
    lock: new KeyedLock(),
    machines,
    cgroups,
    layers,
    resources: HOST_RESOURCES,
    nowMs: () => Date.now(),
    newId: () => randomUUID(),
    openLink: (socketPath, { identity }) => {
      const steal = new StealTime(identity);
      return new AgentLink({ socketPath, steal: (maxAgeMs) => steal.read(maxAgeMs) });
    },
    freeDiskBytes: () => freeBytes(stateDir),
  };
}

async function openVolumes(
  { nodeId, stateDir, volumeQuotaBytes }: NodeConfig,
  { store, log }: Parts,
  { layers, users }: { readonly layers: WritableLayers; readonly users: VolumeUsers },
): Promise<Volumes> {
  const uid = process.getuid?.() ?? 0;
  const makeExt4 = (path: string, bytes: number) =>
    layers.create({ path, aside: `${path}.layer`, bytes, uid });
  return Volumes.open({
    nodeId,
    store,
    files: VolumeFiles.open({ stateDir, makeFileSystem: makeVolumeFileSystem(makeExt4) }),
    users,
    quotaBytes: volumeQuotaBytes || (await totalBytes(stateDir)),
    onCorrupt: (volume, err) => log.error({ volume, err }, "a volume cannot be read"),
    onSwept: (files) => log.warn({ files }, "removed the files of volumes that do not exist"),
  });
}

/** VMs continue without the daemon; the next one finds them. */
function detachAll({ sandboxes }: NodeContext): void {
  for (const entry of sandboxes.list()) {
    entry.vm?.machine.release();
    entry.detach(new PaddockError("SHUTTING_DOWN", "the node daemon is shutting down"));
  }
}
