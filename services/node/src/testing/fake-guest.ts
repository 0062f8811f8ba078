/** A guest whose containers are entries of a map, behind a real link. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
import { agentpb } from "@paddock/protocol";
import { FakeAgent } from "./fake-agent.ts";
import { FakeFiles } from "./fake-files.ts";
import { FakeGuestNetwork, type NetworkCall } from "./fake-guest-network.ts";
import { guestRefusal } from "./guest-refusal.ts";

type FakeContainer = { state: agentpb.ContainerState; instance: string; exit?: agentpb.ExitStatus };
type CallName =
  | NetworkCall
  | "getGuest"
  | "listContainers"
  | "configureSandbox"
  | "setOnlineCpus"
  | "releaseDisk"
  | "growDisk"
  | "createContainer"
  | "startContainer"
  | "killContainer"
  | "pauseContainer"
  | "resumeContainer"
  | "removeContainer"
  | "updateContainer"
  | "addContainerDevice"
  | "removeContainerDevice";

export class FakeGuest implements AsyncDisposable {
  readonly containers = new Map<string, FakeContainer>();
  readonly network = new FakeGuestNetwork();
  readonly files = new FakeFiles();
  /** The limits of each container, as last set. */
  readonly limits = new Map<string, agentpb.Resources>();
  /** The requested mounts of each container. */
  readonly mounts = new Map<string, readonly agentpb.Mount[]>();
  /** Targets of the disks that were released, in order, and the sizes of those that were grown. */
  readonly released: number[] = [];
  readonly grown = new Map<number, bigint>();
  /** Targets of the device files, by container and path. */
  readonly devices = new Map<string, number>();
  /** Targets of disks that a process has open. */
  readonly busyDisks = new Set<number>();
  /** Whether a list with execs, which may be long, was requested. */
  listedWithExecs = false;
  /** Number of CPUs in use, where the guest controls it. */
  onlineCpus = 1;
  /** Called before each call is served; may throw or never settle. */
  onCall: (name: CallName) => Promise<void> = async () => undefined;
  /** Called when the guest is asked to power off. */
  onShutdown: () => void = () => undefined;
  /** Whether SIGTERM ends a container. */
  obeysSigterm = true;
  readonly #events: agentpb.WatchEventsResponse[] = [];
  #changed = Promise.withResolvers<void>();
  #agent: FakeAgent | undefined;

  static async start(): Promise<FakeGuest> {
    const guest = new FakeGuest();
    guest.#agent = await FakeAgent.start({ routes: (router) => guest.#routes(router) });
    return guest;
  }

  get socketPath(): string {
    return this.#agent?.socketPath ?? "";
  }

  /** Boots again: all containers and events are gone. */
  reboot(): void {
    this.containers.clear();
    this.network.clear();
    this.devices.clear();
    this.busyDisks.clear();
    this.#events.length = 0;
  }

  /** Breaks the link. */
  dropLink(): void {
    this.#agent?.dropLink();
  }

  /** Ends the init of a container, with an event unless `silently`. */
  end(
    containerId: string,
    status: { code: number; signal?: number; oomKilled?: boolean },
    silently = false,
  ): void {
    const exit = create(agentpb.ExitStatusSchema, {
      code: status.code,
      signal: status.signal ?? 0,
      oomKilled: status.oomKilled ?? false,
      exitedAt: timestampFromMs(1_700_000_000_000),
    });
    const { instance } = this.#became(containerId, { state: agentpb.ContainerState.STOPPED, exit });
    if (!silently)
      this.tell({
        case: "processExited",
        value: { containerId, instance, execId: containerId, status: exit },
      });
  }

  /** Sends an event, whether true or not. */
  tell(event: MessageInitShape<typeof agentpb.WatchEventsResponseSchema>["event"]): void {
    const sequence = BigInt(this.#events.length + 1);
    this.#events.push(create(agentpb.WatchEventsResponseSchema, { sequence, ...(event && { event }) }));
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent?.[Symbol.asyncDispose]();
  }

  #routes(router: ConnectRouter): void {
    const guest = this;
    router.service(agentpb.SandboxService, {
      getGuest: async () => {
        await guest.onCall("getGuest");
        return { guest: { agentVersion: "fake", bootId: "boot", onlineCpus: guest.onlineCpus } };
      },
      setOnlineCpus: async ({ cpus }) => {
        await guest.onCall("setOnlineCpus");
        guest.onlineCpus = cpus;
        return { onlineCpus: cpus };
      },
      configureSandbox: async ({ network }) => {
        await guest.onCall("configureSandbox");
        if (network !== undefined) guest.network.configure(network);
        return { guest: { configured: true, bootId: "boot" } };
      },
      releaseDisk: async ({ disk, force }) => {
        await guest.onCall("releaseDisk");
        if (!force && guest.busyDisks.has(disk?.target ?? 0))
          throw guestRefusal(agentpb.FailureReason.DEVICE_BUSY, "a process has it open");
        guest.released.push(disk?.target ?? -1);
        return {};
      },
      growDisk: async ({ disk, sizeBytes }) => {
        await guest.onCall("growDisk");
        guest.grown.set(disk?.target ?? -1, sizeBytes);
        return { filesystemBytes: sizeBytes };
      },
      shutdown: () => {
        guest.onShutdown();
        return {};
      },
      watchEvents: async function* ({ afterSequence }, { signal }) {
        for (let next = Number(afterSequence); !signal.aborted; ) {
          const event = guest.#events[next];
          if (event !== undefined) {
            next++;
            yield event;
          } else await Promise.race([guest.#changed.promise, aborted(signal)]);
        }
      },
    });
    guest.network.serve(router, (name) => guest.onCall(name));
    guest.files.routes(router);
    router.service(agentpb.ContainerService, {
      createContainer: async ({ containerId, instance, resources, mounts, devices }) => {
        await guest.onCall("createContainer");
        guest.mounts.set(containerId, mounts);
        for (const { path, disk } of devices) guest.devices.set(`${containerId} ${path}`, disk?.target ?? 0);
        if (resources !== undefined) guest.limits.set(containerId, resources);
        guest.containers.set(containerId, { state: agentpb.ContainerState.CREATED, instance });
        return { container: guest.#told(containerId) };
      },
      startContainer: async ({ containerId }) => {
        await guest.onCall("startContainer");
        guest.#became(containerId, { state: agentpb.ContainerState.RUNNING });
        return { container: guest.#told(containerId) };
      },
      killContainer: async ({ containerId, signal }) => {
        await guest.onCall("killContainer");
        if (signal === 9 || guest.obeysSigterm) guest.end(containerId, { code: 128 + signal, signal });
        return {};
      },
      pauseContainer: async ({ containerId }) => {
        await guest.onCall("pauseContainer");
        guest.#became(containerId, { state: agentpb.ContainerState.PAUSED });
        return {};
      },
      resumeContainer: async ({ containerId }) => {
        await guest.onCall("resumeContainer");
        guest.#became(containerId, { state: agentpb.ContainerState.RUNNING });
        return {};
      },
      removeContainer: async ({ containerId }) => {
        await guest.onCall("removeContainer");
        guest.containers.delete(containerId);
        return {};
      },
      updateContainer: async ({ containerId, resources }) => {
        await guest.onCall("updateContainer");
        if (resources !== undefined) guest.limits.set(containerId, resources);
        return {};
      },
      addContainerDevice: async ({ containerId, device }) => {
        await guest.onCall("addContainerDevice");
        if (device?.path === "/dev/null") throw guestRefusal(agentpb.FailureReason.FILE_REFUSED, "it exists");
        guest.devices.set(`${containerId} ${device?.path}`, device?.disk?.target ?? 0);
        return {};
      },
      removeContainerDevice: async ({ containerId, device }) => {
        await guest.onCall("removeContainerDevice");
        guest.devices.delete(`${containerId} ${device?.path}`);
        return {};
      },
      listContainers: async ({ withoutExecs }) => {
        guest.listedWithExecs ||= !withoutExecs;
        await guest.onCall("listContainers");
        return { containers: [...guest.containers.keys()].map((id) => guest.#told(id)) };
      },
      getContainer: ({ containerId }) => ({ container: guest.#told(containerId) }),
    });
  }

  #became(containerId: string, now: Omit<FakeContainer, "instance">): FakeContainer {
    const container = { ...now, instance: this.containers.get(containerId)?.instance ?? "" };
    this.containers.set(containerId, container);
    return container;
  }

  #told(containerId: string): agentpb.Container {
    const container = this.containers.get(containerId);
    if (container === undefined)
      throw guestRefusal(agentpb.FailureReason.CONTAINER_NOT_FOUND, `no container ${containerId}`);
    return create(agentpb.ContainerSchema, {
      containerId,
      instance: container.instance,
      state: container.state,
      pid: container.state === agentpb.ContainerState.STOPPED ? 0 : 7,
      ...(container.exit && { exitStatus: container.exit }),
    });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
