import { isAlive, type ProcessIdentity } from "@paddock/qemu";

/** A process, and the VM that it runs for. */
export type VmProcess<Vm> = { readonly vm: Vm; readonly identity: ProcessIdentity };

/**
 * The processes of VMs. Those that an earlier daemon left are looked for once, among all processes of the host; from then on
 * there are no others but those that this daemon starts and adds. So what a VM has is known without another look.
 */
export class KnownProcesses<Vm> {
  readonly #scan: () => Promise<readonly VmProcess<Vm>[]>;
  readonly #processes = new Map<Vm, ProcessIdentity[]>();
  #scanned: Promise<void> | undefined;

  /** `scan` finds the processes of all VMs. */
  constructor(scan: () => Promise<readonly VmProcess<Vm>[]>) {
    this.#scan = scan;
  }

  /** Notes a process that was started. */
  add({ vm, identity }: VmProcess<Vm>): void {
    const known = this.#processes.get(vm) ?? [];
    if (known.some(({ pid, startTicks }) => pid === identity.pid && startTicks === identity.startTicks))
      return;
    this.#processes.set(vm, [...known, identity]);
  }

  /** Processes that a VM has, and some that it had. */
  async of(vm: Vm): Promise<readonly ProcessIdentity[]> {
    await this.#lookOnce();
    return this.#processes.get(vm) ?? [];
  }

  /** Notes that these processes have ended. */
  ended(vm: Vm, processes: readonly ProcessIdentity[]): void {
    const left = (this.#processes.get(vm) ?? []).filter((each) => !processes.includes(each));
    if (left.length > 0) this.#processes.set(vm, left);
    else this.#processes.delete(vm);
  }

  /** VMs of which a process runs. */
  async running(): Promise<Vm[]> {
    await this.#lookOnce();
    return [...this.#processes].filter(([, known]) => known.some(isAlive)).map(([vm]) => vm);
  }

  /** One that fails is tried again by the next who asks. */
  #lookOnce(): Promise<void> {
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
