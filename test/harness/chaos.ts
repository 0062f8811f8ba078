/**
 * Kills the node daemon at random moments under a mixed load, and looks for lost, leaked or invented results.
 *
 * Every few rounds the load pauses. The answers that the clients received are then compared with the daemon's state and with
 * the host.
 */
import { existsSync, readFileSync } from "node:fs";
import { SandboxState } from "@paddock/protocol";
import { hostName } from "../../services/node/src/record/sandbox-paths.ts";
import { findNone } from "./chaos-finding.ts";
import { ChaosWorker } from "./chaos-worker.ts";
import { hostSnapshot } from "./host-snapshot.ts";
import { machinesOf } from "./machines.ts";
import { runIdle } from "./sandbox.ts";
import { type Random, seededRandom } from "./seeded-random.ts";
import { Stack } from "./stack.ts";
import { vmIds } from "./vm-of.ts";

export type ChaosOptions = {
  readonly seed: number;
  readonly sandboxes: number;
  readonly rounds: number;
  /** Longest time from a start of the daemon to its next kill, in ms. */
  readonly maxLifeMs: number;
  /** Rounds from one comparison to the next; there is one at the end. */
  readonly compareEvery: number;
  readonly log?: (line: string) => void;
};

export type ChaosResult = {
  readonly kills: number;
  readonly operations: number;
  readonly repeated: number;
  readonly comparisons: number;
};

/** Runs the load and the kills. Throws a ChaosFinding for a fault. Every error names the seed. */
export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const random = seededRandom(options.seed);
  // By default a small host does not admit this many VMs at once.
  await using stack = await Stack.start({ PADDOCK_CPU_OVERCOMMIT: "16" });
  const image = await stack.tinyImage();
  // Files that the first sandbox leaves for all others, such as the template of their writable layers, are not a leak.
  await runIdle(stack, "first");
  await deleteAll(stack);
  const clean = hostSnapshot(stack.stateDirectory);
  const workers = Array.from(
    { length: options.sandboxes },
    (_, index) => new ChaosWorker(stack, `chaos-${index}`, image, seededRandom(options.seed + index + 1)),
  );
  let comparisons = 0;
  try {
    for (let done = 0; done < options.rounds; comparisons++) {
      const rounds = Math.min(options.compareEvery, options.rounds - done);
      await underLoad(workers, async (failed) => {
        for (let round = 0; round < rounds; round++) {
          await Promise.race([pause(random, options.maxLifeMs), failed]);
          await stack.killNode();
          await stack.startNode();
        }
      });
      done += rounds;
      for (const worker of workers) await worker.verify();
      await verifyHost(stack);
      options.log?.(
        `round ${done} of ${options.rounds}: ${sum(workers, "operations")} operations, all consistent`,
      );
    }
    await deleteAll(stack);
    const left = new Set(hostSnapshot(stack.stateDirectory));
    findNone("leaked_resources", [...left.difference(new Set(clean))]);
  } catch (error) {
    if (error instanceof Error) error.message += ` (seed ${options.seed})`;
    throw error;
  }
  return {
    kills: options.rounds,
    operations: sum(workers, "operations"),
    repeated: sum(workers, "repeated"),
    comparisons,
  };
}

/** Does `work` while the workers run, and lets them finish their operations. `failed` rejects with the finding of a worker. */
async function underLoad(
  workers: readonly ChaosWorker[],
  work: (failed: Promise<unknown>) => Promise<void>,
): Promise<void> {
  let stopping = false;
  const running = Promise.all(workers.map((worker) => worker.run(() => stopping)));
  running.catch(() => {});
  try {
    // A boot takes longer than the daemon lives, so the kills start when all sandboxes exist.
    await Promise.race([Promise.all(workers.map((worker) => worker.first)), running]);
    await work(running);
  } finally {
    stopping = true;
  }
  await running;
}

const sum = (workers: readonly ChaosWorker[], what: "operations" | "repeated") =>
  workers.reduce((total, worker) => total + worker[what], 0);

const pause = (random: Random, maxMs: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, random.below(maxMs)));

/**
 * Every record of a live sandbox has its VM, every VM belongs to such a record, and everything on the host belongs to a record.
 */
async function verifyHost({ client, stateDirectory }: Stack): Promise<void> {
  const { sandboxes } = await client.sandboxes.listSandboxes({ pageSize: 1000 });
  const vms = vmIds(stateDirectory);
  const recorded = new Set(sandboxes.map(({ sandboxId }) => hostName(sandboxId)));
  const live = new Set(
    sandboxes
      .filter(({ status }) => status?.state !== SandboxState.STOPPED)
      .map(({ sandboxId }) => vms.get(sandboxId) ?? `${sandboxId} without a VM`),
  );
  const running = machinesOf(stateDirectory).map(machineName);
  findNone("vms_without_record", [...surplus(running, live)]);
  findNone("records_without_vm", [...live.difference(new Set(running))]);
  const owners = { "file sandboxes": recorded, "file vms": new Set(vms.values()), cgroup: live };
  findNone(
    "leaked_resources",
    hostSnapshot(stateDirectory).filter((trace) => {
      if (trace.startsWith("operation ")) return true;
      const owned = /^(file sandboxes|file vms|cgroup).*?[/-]([0-9a-f]{16})(\/|$)/.exec(trace);
      return owned !== null && !owners[owned[1] as keyof typeof owners].has(owned[2] ?? "");
    }),
  );
}

/** The names beyond the allowed ones, of which one each is allowed. */
function surplus(names: readonly string[], allowed: ReadonlySet<string>): string[] {
  return names.filter((name, index) => !allowed.has(name) || names.indexOf(name) !== index);
}

/** The VM that a process was started for. */
function machineName(pid: string): string {
  const path = `/proc/${pid}/cmdline`;
  const command = existsSync(path) ? readFileSync(path, "latin1") : "";
  return /\/vms\/([0-9a-f]{16})/.exec(command)?.[1] ?? `process ${pid}`;
}

async function deleteAll(stack: Stack): Promise<void> {
  const { sandboxes } = await stack.client.sandboxes.listSandboxes({ pageSize: 1000 });
  await Promise.all(
    sandboxes.map(({ sandboxId }) =>
      stack.client.sandboxes.deleteSandbox({ requestId: crypto.randomUUID(), sandboxId, force: true }),
    ),
  );
}
