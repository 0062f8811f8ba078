import { isAlive, type ProcessIdentity } from "@paddock/qemu";

/** A process, and its VM. */
export type VmProcess<Vm> = { readonly vm: Vm; readonly identity: ProcessIdentity };

/**
 * The processes of VMs. Those of an earlier daemon are found by one scan of all processes of the host. After that, only this
 * daemon starts processes of VMs, and adds them here, so no further scan is needed.
 */
export class KnownProcesses<Vm> {
  readonly #scan: () => Promise<readonly VmProcess<Vm>[]>;
  readonly #processes = new Map<Vm, ProcessIdentity[]>();
  #scanned: Promise<void> | undefined;

  /** `scan` finds the processes of all VMs. */
  constructor(scan: () => Promise<readonly VmProcess<Vm>[]>) {
    this.#scan = scan;
  }

  /** Adds a started process. */
  add({ vm, identity }: VmProcess<Vm>): void {
    const known = this.#processes.get(vm) ?? [];
    if (known.some(({ pid, startTicks }) => pid === identity.pid && startTicks === identity.startTicks))
      return;
    this.#processes.set(vm, [...known, identity]);
  }

  /** Processes of a VM; some of them may have ended. */
  async of(vm: Vm): Promise<readonly ProcessIdentity[]> {
    await this.#scanOnce();
    return this.#processes.get(vm) ?? [];
  }

  /** Removes ended processes. */
  ended(vm: Vm, processes: readonly ProcessIdentity[]): void {
    const left = (this.#processes.get(vm) ?? []).filter((each) => !processes.includes(each));
    if (left.length > 0) this.#processes.set(vm, left);
    else this.#processes.delete(vm);
  }

  /** VMs with a running process. */
  async running(): Promise<Vm[]> {
    await this.#scanOnce();
    return [...this.#processes].filter(([, known]) => known.some(isAlive)).map(([vm]) => vm);
  }

  /** A failed scan is repeated at the next call. */
  #scanOnce(): Promise<void> {
    this.#scanned ??= this.#scan()
      .then((found) => {
        for (const each of found) this.add(each);
      })
      .catch((error: unknown) => {
        this.#scanned = undefined;
        throw error;
      });
    return this.#scanned;
  }
}
