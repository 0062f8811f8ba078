/**
 * One sandbox in this process: its newest record and, while it has a VM, the VM and the link to its guest.
 *
 * The record changes only here, by `update`, which is synchronous: it stores the record, then publishes it. So readers never
 * see a change that a crash would revert, and two changes never mix. Lifecycle calls hold the sandbox's lock across their
 * updates; unrequested facts (an exit, a lost VM) are updates of their own and do not wait.
 */
import { addAbortListener } from "node:events";
import { PaddockError } from "@paddock/domain";
import type { AgentLink } from "../agent/agent-link.ts";
import { type NodeLog, sandboxLog } from "../node-log.ts";
import { lossOf } from "../record/lost-vm.ts";
import { type SandboxPaths, sandboxPaths } from "../record/sandbox-paths.ts";
import {
  type ContainerRecord,
  containerOf,
  machineOf,
  type Operation,
  type SandboxRecord,
  withContainer,
} from "../record/sandbox-record.ts";
import type { NodeStore } from "../store/node-store.ts";
import type { RequestOutcome } from "../store/request-outcome.ts";
import type { Machine } from "../vm/machine-port.ts";
import { type Applied, RunningVm } from "../vm/running-vm.ts";
import { type VmPaths, vmPaths } from "../vm/vm-paths.ts";
import { type Change, type EventContext, eventsOf, goneEvent } from "../wire/sandbox-events.ts";
import type { LiveSandbox } from "./live-sandbox.ts";

export type EntryOptions = {
  readonly store: NodeStore;
  readonly stateDir: string;
  readonly nodeId: string;
  readonly newId: () => string;
  readonly nowMs: () => number;
  readonly log: NodeLog;
  /** Called after each change; must not throw. */
  readonly onChange: () => void;
};

/** Written together with a change. */
type UpdateExtras = {
  /** Changes that happened just before and are in no record. */
  readonly told?: readonly Change[];
  /** The success of the request that the change is for. */
  readonly outcome?: RequestOutcome;
};

const isCreating = (record: SandboxRecord | undefined): boolean => record?.phase.kind === "creating";

/** How long the record may lag behind a report of the guest on another stream. */
const END_PATIENCE_MS = 1000;

export class SandboxEntry implements LiveSandbox {
  readonly paths: SandboxPaths;
  /** Each line has the sandbox's id. */
  readonly log: ReturnType<typeof sandboxLog>;
  readonly #options: EntryOptions;
  readonly #watchers = new Set<() => void>();
  #record: SandboxRecord;
  #vm: RunningVm | undefined;
  #lost: PaddockError | undefined;

  /** For a stored record; `SandboxEntry.create` is for a new one. */
  constructor(record: SandboxRecord, options: EntryOptions) {
    this.#record = record;
    this.#options = options;
    this.paths = sandboxPaths(options.stateDir, record.sandboxId);
    this.log = sandboxLog(options.log, record.sandboxId);
  }

  /** Stores a new record. */
  static create(record: SandboxRecord, options: EntryOptions): SandboxEntry {
    const entry = new SandboxEntry(record, options);
    entry.#commit(undefined, record);
    return entry;
  }

  get sandboxId(): string {
    return this.#record.sandboxId;
  }

  get record(): SandboxRecord {
    return this.#record;
  }

  get vmPaths(): VmPaths {
    return vmPaths(this.#options.stateDir, this.#record.vm.id);
  }

  get vm(): RunningVm | undefined {
    return this.#vm;
  }

  /** The limits in force for the VM, if they are known. */
  get applied(): Applied | undefined {
    return this.#vm?.applied;
  }

  /** Why calls to the guest of an existing VM would fail now; undefined when they may succeed. */
  get held(): PaddockError | undefined {
    if (this.#vm?.machine.isHeld !== true) return undefined;
    return new PaddockError(
      "NO_DISK_SPACE",
      `the VM of sandbox ${this.sandboxId} is suspended: its node's disk is full`,
      { hint: "make room on the file system of the node's state directory; the VM then continues by itself" },
    );
  }

  get agent(): AgentLink {
    const { held } = this;
    if (held !== undefined) throw held;
    return this.link;
  }

  get link(): AgentLink {
    if (this.#vm !== undefined) return this.#vm.link;
    const { kind } = this.#record.phase;
    if (machineOf(this.#record) !== undefined)
      throw new PaddockError(
        "VM_UNAVAILABLE",
        `the VM of sandbox ${this.sandboxId} does not answer its host`,
        {
          retryAfterMs: 5000,
        },
      );
    const loss = lossOf(this.#record);
    if (loss !== undefined) throw loss;
    throw new PaddockError("WRONG_STATE", `sandbox ${this.sandboxId} has no VM`, {
      metadata: { actual_state: kind, allowed_states: "ready,running" },
    });
  }

  /** Applies `change` to the record, stores the result and publishes it. */
  update(change: (record: SandboxRecord) => SandboxRecord, more: UpdateExtras = {}): SandboxRecord {
    const before = this.#record;
    const changed = change(before);
    if (changed === before) return before;
    this.#commit(before, { ...changed, version: before.version + 1 }, more);
    return this.#record;
  }

  /** Applies `change` to the record of one container, like `update`. */
  updateContainer(containerId: string, change: (container: ContainerRecord) => ContainerRecord): void {
    this.update((record) => withContainer(record, containerId, change));
  }

  /**
   * Stores the notes of operations. Readers see no difference, so the version does not change. Only the note of a new container
   * must survive a crash of the host, because nothing else leads to its file; after such a crash all VMs are gone.
   */
  note(change: (record: SandboxRecord) => SandboxRecord): void {
    const before = this.#record;
    const { operations } = change(before);
    const isNew = (each: Operation) => !before.operations.includes(each);
    const provisional = !operations.some((each) => each.kind === "add-container" && isNew(each));
    this.#commit(before, { ...before, operations }, { provisional });
  }

  /**
   * Removes the record, durably, and publishes that the sandbox is gone. With `outcome`, the success of a request is recorded
   * in the same transaction.
   */
  remove(outcome?: RequestOutcome): void {
    const { store, onChange } = this.#options;
    store.removeSandbox(this.sandboxId, outcome, [goneEvent(this.#record, this.#eventContext())]);
    onChange();
  }

  #eventContext(): EventContext {
    const { nodeId, newId, nowMs } = this.#options;
    return { nodeId, newId, nowMs: nowMs() };
  }

  #commit(
    before: SandboxRecord | undefined,
    after: SandboxRecord,
    { told = [], outcome, provisional = false }: UpdateExtras & { readonly provisional?: boolean } = {},
  ): void {
    const { store, onChange } = this.#options;
    const events = eventsOf(before, after, this.#eventContext(), told);
    const record = { ...after, eventSequence: (before?.eventSequence ?? 0) + events.length };
    const withinCreating =
      isCreating(before) && isCreating(after) && events.length === 0 && outcome === undefined;
    store.commit({ record, events, provisional: provisional || withinCreating, ...(outcome && { outcome }) });
    this.#record = record;
    for (const watcher of [...this.#watchers]) watcher();
    onChange();
  }

  /** Why there is no VM any more, for code that was using it. */
  get lost(): PaddockError {
    return this.#lost ?? new PaddockError("VM_UNAVAILABLE", `sandbox ${this.sandboxId} has no VM`);
  }

  /** Attaches the sandbox to its VM. `vcpusInUse` is the number that the guest was started with, if known. */
  attach(machine: Machine, link: AgentLink, vcpusInUse?: number): RunningVm {
    this.#vm = new RunningVm(machine, link, vcpusInUse);
    return this.#vm;
  }

  /** Detaches from the VM: calls to its guest fail with `error` and its watchers end. The VM keeps running. */
  detach(error: PaddockError): void {
    this.#lost = error;
    const vm = this.#vm;
    this.#vm = undefined;
    vm?.close(error);
  }

  async endRecorded(containerId: string): Promise<void> {
    const ended = (record: SandboxRecord) => {
      const kind = containerOf(record, containerId)?.phase.kind;
      return kind === undefined || kind === "stopped";
    };
    await this.reaches(ended, AbortSignal.timeout(END_PATIENCE_MS));
  }

  /** Calls `watcher` after each change of the record, until disposed of. It must not throw. */
  watch(watcher: () => void): Disposable {
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) };
  }

  /** Settles with true once `accept` accepts the record, or with false when the signal aborts. */
  async reaches(accept: (record: SandboxRecord) => boolean, signal: AbortSignal): Promise<boolean> {
    if (accept(this.#record)) return true;
    if (signal.aborted) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    using _watch = this.watch(() => {
      if (accept(this.#record)) resolve(true);
    });
    using _listener = addAbortListener(signal, () => resolve(false));
    return await promise;
  }
}
