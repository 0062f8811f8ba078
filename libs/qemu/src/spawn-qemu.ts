/** Starts QEMU, which ignores SIGPIPE, so that it outlives the daemon. */
import { type Privileges, privilegePrefix } from "./privileges.ts";
import { type DetachedProcess, spawnDetached } from "./spawn-detached.ts";

export interface SpawnOptions {
  /** Path of qemu-system-x86_64; from the node's configuration, never from a request. */
  readonly binary: string;
  /** From `qemuArguments`. */
  readonly args: readonly string[];
  readonly privileges: Privileges;
  /** Command prefix, for example the cgroup placement. It must execute the command that follows. */
  readonly prefix?: readonly string[];
  /** Descriptors that QEMU inherits as 3, 4, 5…; the caller closes its own copies. */
  readonly descriptors?: readonly number[];
}

export type SpawnedQemu = DetachedProcess;

/** Resolves when the process exists. Invalid arguments show later, in `waitForMonitor`. */
export async function spawnQemu(options: SpawnOptions): Promise<SpawnedQemu> {
  const words = [
    ...(options.prefix ?? []),
    ...privilegePrefix(options.privileges),
    options.binary,
    ...options.args,
  ];
  return await spawnDetached(words, { descriptors: options.descriptors ?? [] });
}
