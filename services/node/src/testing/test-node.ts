/**
 * A node with real store, lock, steps and handlers, and with machines, cgroups and a guest in memory. A "crash" drops
 * everything in the process and opens another node on the same state, as after a kill -9.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fromBinary } from "@bufbuild/protobuf";
import { MIB, PaddockError } from "@paddock/domain";
import type { ImageRecord } from "@paddock/images";
import { KeyedLock } from "@paddock/lifecycle";
import { EventSchema, Isolation, type Sandbox, toStatus } from "@paddock/protocol";
import { createRequestCheck } from "@paddock/rpc";
import { AgentLink } from "../agent/agent-link.ts";
import { commandHandler } from "../command-handler.ts";
import { CallerNamespaces } from "../network/caller-namespaces.ts";
import { HostPorts } from "../network/host-ports.ts";
import type { NodeContext } from "../node-context.ts";
import { sandboxesDir } from "../record/sandbox-paths.ts";
import { type RecoverySummary, recover } from "../recovery/recover.ts";
import type { HostResource } from "../resources/host-resource.ts";
import { HOST_RESOURCES } from "../resources/host-resources.ts";
import { AddressLeases } from "../sandboxes/address-leases.ts";
import { SandboxRegistry } from "../sandboxes/sandbox-registry.ts";
import { NodeStore } from "../store/node-store.ts";
import type { MachineHost } from "../vm/machine-port.ts";
import { vmsDir } from "../vm/vm-paths.ts";
import { VolumeFiles } from "../volumes/volume-files.ts";
import { Volumes } from "../volumes/volumes.ts";
import { FakeDisks } from "./fake-disks.ts";
import { FakeGuest } from "./fake-guest.ts";
import { fakeImage } from "./fake-image.ts";
import { FakeCgroups, FakeMachines } from "./fake-machines.ts";
import { FakeShares } from "./fake-shares.ts";
import { mortal } from "./mortal.ts";
import { commandOf, type NamedCommand, type NamedOutcome, outcomeOf } from "./named-command.ts";

type Asked = {
  readonly requestId?: string;
  readonly sandboxId?: string;
  readonly generation?: bigint;
  readonly signal?: AbortSignal;
};

const SILENT = { level: "info", debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export class TestNode implements AsyncDisposable {
  readonly stateDir: string;
  readonly machines: FakeMachines;
  readonly cgroups = new FakeCgroups();
  readonly guest: FakeGuest;
  /** The host's devices. */
  readonly disks = new FakeDisks();
  readonly image: ImageRecord = fakeImage();
  /** The images of the node's store. */
  images: ImageRecord[] = [this.image];
  /** Called before a writable layer is created; may throw or never settle. */
  onLayer: () => Promise<void> = async () => undefined;
  /** Called before the file of a volume is created; may throw or never settle. */
  onVolume: () => Promise<void> = async () => undefined;
  /** Quota of volumes of daemons from the next `crash` on. */
  volumeQuotaBytes = 64 * 1024 * MIB;
  /** The host resources of daemons from the next `crash` on; tests may add to it. */
  readonly resources: HostResource[] = [...HOST_RESOURCES];
  /** The network of daemons from the next `crash` on; undefined means none. */
  network: NodeContext["network"];
  readonly ports = new HostPorts();
  /** Of daemons from the next `crash` on. */
  namespaces: NodeContext["namespaces"] = new CallerNamespaces("/state", "/nonexistent");
  allowsNamespaces = false;
  readonly shares = new FakeShares();
  bootId = "this boot";
  context: NodeContext;
  #handle: ReturnType<typeof commandHandler>;
  #life = { alive: true };
  readonly #gone = Promise.withResolvers<void>();

  private constructor(guest: FakeGuest) {
    this.guest = guest;
    this.machines = new FakeMachines(this.bootId);
    this.stateDir = mkdtempSync(join(tmpdir(), "paddock-node-test-"));
    mkdirSync(sandboxesDir(this.stateDir));
    mkdirSync(vmsDir(this.stateDir));
    this.context = this.#open();
    this.#handle = commandHandler(this.context, createRequestCheck());
    guest.onShutdown = () => this.machines.lose(this.machines.only.identity.pid, "guest_shutdown");
  }

  static async start(): Promise<TestNode> {
    return new TestNode(await FakeGuest.start());
  }

  /** Settles at the end of the test: work that waits for it hangs for the whole test. */
  get forever(): Promise<void> {
    return this.#gone.promise;
  }

  /** Kills and restarts the daemon; returns the summary of the recovery. */
  async crash(): Promise<RecoverySummary> {
    this.#drop();
    this.context = this.#open();
    this.#handle = commandHandler(this.context, createRequestCheck());
    return await recover(this.context);
  }

  /** Sends a command like the api, with ids filled into request and envelope; never throws. */
  async ask(command: NamedCommand, asked: Asked = {}): Promise<NamedOutcome> {
    const { requestId = randomUUID(), sandboxId = "s1", generation = 1n } = asked;
    const request = commandOf(command, { requestId, sandboxId, generation });
    const signal = asked.signal ?? new AbortController().signal;
    try {
      return outcomeOf(command, await this.#handle(request, { signal, deadline: undefined }));
    } catch (error) {
      return { case: "error", value: toStatus(error) };
    }
  }

  /** Corrupts the stored record of a sandbox. */
  corrupt(sandboxId: string): void {
    using database = new DatabaseSync(join(this.stateDir, "node.db"));
    database.prepare("UPDATE sandbox SET record = substr(record, 10) WHERE id = ?").run(sandboxId);
  }

  /** Corrupts the stored record of a volume. */
  corruptVolume(name: string): void {
    using database = new DatabaseSync(join(this.stateDir, "node.db"));
    database.prepare("UPDATE volume SET record = substr(record, 10) WHERE name = ?").run(name);
  }

  /** The events in the outbox: number, container, change, value if it is a state. */
  publishedChanges(): string[] {
    return this.context.store.outbox(1000).map(({ event }) => {
      const { sequence, containerId, change } = fromBinary(EventSchema, event);
      const value = typeof change.value === "number" ? String(change.value) : "";
      return [String(sequence), containerId, change.case ?? "", value]
        .filter((word) => word !== "")
        .join(" ");
    });
  }

  /** The noted operations, by sandbox and kind. */
  operations(): string[] {
    return this.context.store
      .loadSandboxes()
      .flatMap((loaded) => (loaded.kind === "record" ? [loaded.record] : []))
      .flatMap(({ sandboxId, operations }) => operations.map(({ kind }) => `${sandboxId} ${kind}`));
  }

  /** Names of all remains of sandboxes on the host or in the store. */
  leftovers(): string[] {
    const { store } = this.context;
    return [
      ...readdirSync(sandboxesDir(this.stateDir)).map((name) => `directory ${name}`),
      ...readdirSync(vmsDir(this.stateDir)).map((name) => `VM directory ${name}`),
      ...[...this.cgroups.names].map((name) => `cgroup ${name}`),
      ...[...this.machines.processes.keys()].map((pid) => `machine ${pid}`),
      ...[...this.shares.servers.keys()].map((vm) => `servers of ${vm}`),
      ...[...this.disks.acquired].map((name) => `disk ${name}`),
      ...store.loadSandboxes().map((loaded) => `record ${loaded.kind}`),
      ...this.context.sandboxes.list().map(({ sandboxId }) => `entry ${sandboxId}`),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#drop();
    this.#gone.resolve();
    await this.ports[Symbol.asyncDispose]();
    await this.guest[Symbol.asyncDispose]();
    rmSync(this.stateDir, { recursive: true, force: true });
  }

  /** A sparse file without a file system: nothing in this process reads one. */
  async #makeVolume(path: string, bytes: number): Promise<void> {
    writeFileSync(path, "");
    truncateSync(path, bytes);
    await this.onVolume();
  }

  #drop(): void {
    const { sandboxes, store } = this.context;
    this.#life.alive = false;
    for (const entry of sandboxes.list()) entry.detach(new PaddockError("SHUTTING_DOWN", "the daemon died"));
    store[Symbol.dispose]();
  }

  #open(): NodeContext {
    const { stateDir, guest, image } = this;
    const life = { alive: true };
    this.#life = life;
    const machines: MachineHost = {
      start: async (request) => mortal(await mortal(this.machines, life).start(request), life),
      adopt: async (identity) => {
        const machine = await this.machines.adopt(identity);
        return machine && mortal(machine, life);
      },
      killStrays: (paths) => mortal(this.machines, life).killStrays(paths),
      running: () => this.machines.running(),
    };
    const cgroups = mortal(this.cgroups, life);
    const disks = mortal(this.disks.port, life);
    const store = new NodeStore(join(stateDir, "node.db"));
    const sandboxes = new SandboxRegistry(64 * MIB, {
      leases: this.network && new AddressLeases(this.network.network),
    });
    return {
      nodeId: "n1",
      stateDir,
      bootId: this.bootId,
      isolation: Isolation.TCG_NO_GUARANTEE,
      vmUidBase: process.getuid?.() ?? 0,
      sizeDefaults: {
        vcpus: 1,
        maxVcpus: 4,
        vcpuLimit: 4,
        memoryBytes: 256 * MIB,
        guestOverheadBytes: 64 * MIB,
      },
      hostCpus: "0-3",
      vmOverheadBytes: 64 * MIB,
      capacity: { milliCpus: 4000, memoryBytes: 1024 * MIB, diskBytes: 256 * 1024 * MIB },
      diskFloorBytes: 0,
      bootTimeoutMs: 5000,
      store,
      sandboxes,
      volumes: Volumes.open({
        nodeId: "n1",
        store,
        files: VolumeFiles.open({ stateDir, makeFileSystem: (path, bytes) => this.#makeVolume(path, bytes) }),
        users: sandboxes.volumes,
        quotaBytes: this.volumeQuotaBytes,
      }),
      volumeLock: new KeyedLock(),
      lock: new KeyedLock(),
      machines,
      cgroups,
      images: {
        find: (reference) => (reference === "tiny" || reference === image.id ? image : undefined),
        get: (id) => (id === image.id ? image : undefined),
        list: async () => this.images,
        remove: async () => ({ record: image, deleted: true }),
        blobPath: () => "/images/blob",
      },
      layers: { create: () => this.onLayer() },
      disks,
      network: this.network,
      ports: this.ports,
      namespaces: this.namespaces,
      allowsNamespaces: this.allowsNamespaces,
      shares: mortal(this.shares, life),
      resources: this.resources,
      logs: { follow: () => undefined, stop: async () => undefined, remove: async () => undefined },
      log: { ...SILENT },
      nowMs: () => Date.now(),
      newId: () => randomUUID(),
      openLink: () => new AgentLink({ socketPath: guest.socketPath }),
      freeDiskBytes: async () => 1024 * MIB,
      onChange: () => undefined,
    };
  }
}

/** The sandbox of an outcome; throws with the error's text when the outcome is an error. */
export function sandboxIn(outcome: NamedOutcome): Sandbox {
  if (outcome.case === "error") throw new Error(`${outcome.case}: ${outcome.value.message}`);
  const { value } = outcome;
  if ("sandbox" in value && value.sandbox !== undefined) return value.sandbox;
  throw new Error(`${outcome.case} has no sandbox`);
}
