/** The daemon, put together by hand. Start-up order is safety: lock, store, recovery, and only then the bus. */
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
import { type ImageStore, openImageStore } from "@paddock/images";
import { KeyedLock } from "@paddock/lifecycle";
import { toStatus } from "@paddock/protocol";
import { EMULATION_CODE_BYTES } from "@paddock/qemu";
import { createRequestCheck } from "@paddock/rpc";
import { startTracing } from "@paddock/telemetry";
import { AgentLink } from "./agent/agent-link.ts";
import { commandHandler } from "./command-handler.ts";
import type { NodeConfig } from "./config.ts";
import { EventPublisher } from "./events/event-publisher.ts";
import { Heartbeat } from "./heartbeat.ts";
import { freeBytes } from "./host/disk-space.ts";
import { type Host, readBootId, readHost } from "./host/host-facts.ts";
import { LogBook } from "./logs/log-book.ts";
import type { NodeContext } from "./node-context.ts";
import type { NodeLog } from "./node-log.ts";
import { observeCommands } from "./observe-commands.ts";
import { sandboxesDir } from "./record/sandbox-paths.ts";
import { recover } from "./recovery/recover.ts";
import { HOST_RESOURCES } from "./resources/host-resources.ts";
import { WritableLayers } from "./resources/writable-layers.ts";
import { COMMAND_LIMITS, kindOf } from "./routes.ts";
import { SandboxEntry } from "./sandboxes/sandbox-entry.ts";
import { SandboxRegistry, VM_OVERHEAD_BYTES } from "./sandboxes/sandbox-registry.ts";
import { NodeStore } from "./store/node-store.ts";
import { lockState } from "./store/state-lock.ts";
import { unwritableState } from "./store/store-error.ts";
import { StreamServer } from "./stream-server.ts";
import { VERSION } from "./version.ts";
import type { MachineCgroups, MachineHost } from "./vm/machine-port.ts";
import { QemuHost } from "./vm/qemu-host.ts";
import { VmCgroups } from "./vm/vm-cgroups.ts";
import { vmsDir } from "./vm/vm-paths.ts";

/** Replacements of the real thing, for tests. */
export type Overrides = {
  readonly host?: Host;
  readonly machines?: MachineHost;
  readonly cgroups?: MachineCgroups;
};

/** Emulation keeps translated code up to a ceiling, and what belongs to it; see the README of libs/qemu. */
const EMULATION_SLACK_BYTES = EMULATION_CODE_BYTES + 64 * MIB;
const COMMAND_GRACE_MS = 10_000;

export class NodeApp implements AsyncDisposable {
  readonly context: NodeContext;
  readonly streamAddress: string;
  readonly daemonInstanceId: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    context: NodeContext,
    streamAddress: string,
    daemonInstanceId: string,
    stack: AsyncDisposableStack,
  ) {
    this.context = context;
    this.streamAddress = streamAddress;
    this.daemonInstanceId = daemonInstanceId;
    this.#stack = stack;
  }

  /** Starts the daemon: when this settles it serves. Throws when it cannot, with nothing left but the state directory. */
  static async start(
    config: NodeConfig,
    log: NodeLog,
    { signal, ...overrides }: Overrides & { readonly signal?: AbortSignal } = {},
  ): Promise<NodeApp> {
    await using stack = new AsyncDisposableStack();
    const daemonInstanceId = randomUUID();
    const tracing = await startTracing({ serviceName: "paddock-node", endpoint: config.otlpEndpoint });
    stack.defer(() => tracing.shutdown());
    await prepareStateDir(config.stateDir);
    stack.use(lockState(join(config.stateDir, "lock.db")));
    const store = stack.use(openStore(config, log));
    const host = overrides.host ?? (await readHost(config));
    log.info({ accelerator: host.accelerator, qemu: host.qemuVersion }, "the host was looked at");
    const logs = stack.use(
      new LogBook(({ sandboxId, containerId, problem }) =>
        log.warn(
          { sandbox: sandboxId, container: containerId, err: problem },
          "a container's log has trouble",
        ),
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
    const parts = { config, log, overrides, store, host, logs, images };
    const context = await openContext(parts, onChange);
    stack.defer(() => letGo(context));
    log.info(await recover(context), "recovered");
    const streams = stack.use(await StreamServer.start({ ...context, images, logs }, config.streams));
    const bus = stack.use(
      new Bus({
        url: config.natsUrl,
        files: config.natsFiles,
        name: `paddock-node-${config.nodeId}`,
        inboxPrefix: nodeInboxPrefix(config.nodeId),
        onEvent: logBusEvents(log),
      }),
    );
    await firstOf(bus.ready, signal);
    publisher = stack.use(new EventPublisher({ store, stream: new EventStream(bus), log }));
    const commands = serve(bus, context, daemonInstanceId);
    stack.defer(() => commands.stop(COMMAND_GRACE_MS));
    heartbeat = stack.use(
      new Heartbeat(bus, context, {
        streamAddress: streams.advertised,
        daemonInstanceId,
        version: VERSION,
        qemuVersion: host.qemuVersion,
        guestKernel: host.guest.kernelRelease,
        labels: config.labels,
      }),
    );
    await heartbeat.start();
    return new NodeApp(context, streams.address, daemonInstanceId, stack.move());
  }

  /** Shuts down in order: no new commands, those under way are answered, streams end, VMs stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function openStore({ stateDir }: NodeConfig, log: NodeLog): NodeStore {
  return new NodeStore(join(stateDir, "node.db"), Date.now, {
    onEventsDropped: (count) =>
      log.error({ count }, "events were dropped unpublished, as NATS is away for long: watchers see a gap"),
  });
}

/** The promise, or the signal's reason, whichever comes first. */
async function firstOf(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return await promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  await Promise.race([promise, aborted]).finally(() => signal.removeEventListener("abort", onAbort));
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

/** Others may pass through (a VM's user must reach its own directory), and see nothing. */
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

type Parts = {
  readonly config: NodeConfig;
  readonly log: NodeLog;
  readonly overrides: Overrides;
  readonly store: NodeStore;
  readonly host: Host;
  readonly logs: LogBook;
  readonly images: ImageStore;
};

async function openContext(parts: Parts, onChange: () => void): Promise<NodeContext> {
  const { config, log, overrides, store, host, logs, images } = parts;
  const { stateDir, nodeId } = config;
  const cgroups = overrides.cgroups ?? (await VmCgroups.open(stateDir));
  const machines =
    overrides.machines ??
    new QemuHost({
      binary: config.qemuBinary,
      accelerator: host.accelerator.accelerator,
      cpuModel: host.accelerator.cpuModel,
      groups: host.groups,
      guest: host.guest,
      cgroups,
      stateDir,
      freeBytes,
    });
  const vcpuLimit = config.maxVcpus || Math.min(240, Math.floor(host.cpus * config.cpuOvercommit));
  const nowMs = () => Date.now();
  const newId = () => randomUUID();
  const entryOptions = {
    store,
    stateDir,
    nodeId,
    newId,
    nowMs,
    onChange,
  };
  return {
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
    store,
    sandboxes: new SandboxRegistry(GUEST_OVERHEAD_BYTES),
    lock: new KeyedLock(),
    machines,
    cgroups,
    images,
    layers: await WritableLayers.open(join(stateDir, "layer-templates")),
    resources: HOST_RESOURCES,
    logs,
    log,
    nowMs,
    newId,
    openLink: (socketPath) => new AgentLink({ socketPath }),
    freeDiskBytes: () => freeBytes(stateDir),
    newEntry: (record, stored) =>
      stored ? new SandboxEntry(record, entryOptions) : SandboxEntry.create(record, entryOptions),
  };
}

/** VMs go on without the daemon; the next one finds them. */
function letGo({ sandboxes }: NodeContext): void {
  for (const entry of sandboxes.list()) {
    entry.vm?.machine.release();
    entry.detach(new PaddockError("SHUTTING_DOWN", "the node daemon is shutting down"));
  }
}
