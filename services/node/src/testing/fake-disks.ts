/** Devices of the host in memory. Like the real ones, they outlive a daemon. */
import { PaddockError } from "@paddock/domain";
import type { HostDisk } from "../devices/host-disks.ts";
import type { NodeContext } from "../node-context.ts";
import type { HostSource } from "../record/device-record.ts";
import type { VmPaths } from "../vm/vm-paths.ts";

export class FakeDisks {
  /** The identity of what is at each path. */
  readonly files = new Map<string, string>([
    ["/devices/a.img", "file 1:1 10"],
    ["/devices/b.img", "file 1:1 11"],
    ["/devices/sdb", "block 8:16"],
    ["/devices/sdb1", "block 8:17"],
  ]);
  /** What VMs have, as "<id of the VM> <target> <identity>". */
  readonly acquired = new Set<string>();
  /** Called after a disk was created, and before one is released; may throw or never settle. */
  onAcquire: () => Promise<void> = async () => undefined;
  onRelease: () => Promise<void> = async () => undefined;

  /** The disks of a daemon. */
  get port(): NodeContext["disks"] {
    return {
      inspect: async (asked) => this.#inspect(asked),
      acquire: async ({ id }, { source, target }: HostDisk) => {
        this.acquired.add(`${id} ${target} ${source.identity}`);
        await this.onAcquire();
      },
      release: async (paths, target) => await this.#release(`${idOf(paths)} ${target} `),
      releaseAll: async (paths) => await this.#release(`${idOf(paths)} `),
      owners: async () => [...this.acquired].map((each) => each.slice(0, 16)),
    };
  }

  #inspect({ path, readOnly }: Pick<HostSource, "path" | "readOnly">): HostSource {
    const identity = this.files.get(path);
    if (identity === undefined) throw new PaddockError("FILE_NOT_FOUND", `the node has no file ${path}`);
    const whole = identity === "block 8:17" ? "block 8:16" : identity;
    return { path, readOnly, identity, whole, sizeBytes: 1024 };
  }

  async #release(beginning: string): Promise<void> {
    await this.onRelease();
    for (const each of this.acquired) if (each.startsWith(beginning)) this.acquired.delete(each);
  }
}

const idOf = ({ dir }: Pick<VmPaths, "dir">): string => dir.slice(-16);
