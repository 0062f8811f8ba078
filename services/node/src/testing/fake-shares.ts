/** Servers of host directories in memory. Like the real ones, they outlive a daemon. */
import { PaddockError } from "@paddock/domain";
import type { HostShare } from "../record/host-shares.ts";
import type { ShareOwner } from "../shares/share-servers.ts";
import type { VmId, VmPaths } from "../vm/vm-paths.ts";

/** Directories that the node allows. */
const ALLOWED = "/allowed/";

export class FakeShares {
  /** Paths that are served, by VM. */
  readonly servers = new Map<VmId, string[]>();
  /** Called before a server is started; may throw or never settle. */
  onStart: (share: HostShare) => Promise<void> = async () => undefined;
  readonly #ended = new Map<VmId, PromiseWithResolvers<void>>();

  async check(shares: readonly HostShare[]): Promise<void> {
    for (const { path } of shares)
      if (!path.startsWith(ALLOWED))
        throw new PaddockError("PATH_NOT_ALLOWED", `the node does not share ${path}`);
  }

  async start(share: HostShare, { vm }: ShareOwner): Promise<void> {
    // As with virtiofsd, the process exists before it has failed.
    this.servers.set(vm.id, [...(this.servers.get(vm.id) ?? []), share.path]);
    await this.onStart(share);
  }

  async end({ id }: VmPaths): Promise<void> {
    this.servers.delete(id);
  }

  async running(): Promise<readonly VmId[]> {
    return [...this.servers.keys()];
  }

  async problem({ id }: VmPaths, shares: readonly HostShare[]): Promise<string | undefined> {
    const lost = shares.find(({ path }) => !this.servers.get(id)?.includes(path));
    return lost && `the host directory ${lost.path} is no longer served`;
  }

  ended(vm: VmId): Promise<void> {
    const ended = this.#ended.get(vm) ?? Promise.withResolvers<void>();
    this.#ended.set(vm, ended);
    return ended.promise;
  }

  /** Ends the servers of a VM, like a crash. */
  lose(vm: VmId): void {
    this.servers.delete(vm);
    this.#ended.get(vm)?.resolve();
  }
}
