/**
 * Kills the node daemon at random moments under a mixed load, and looks for what was lost, leaked or invented.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { SandboxState } from "@paddock/protocol";
import { sandboxPaths } from "../../services/node/src/sandboxes/sandbox-paths.ts";
import { ChaosWorker } from "./chaos-worker.ts";
import { hostSnapshot } from "./host-snapshot.ts";
import { machinesOf } from "./machines.ts";
import { runIdle } from "./sandbox.ts";
import { type Random, seededRandom } from "./seeded-random.ts";
import { Stack } from "./stack.ts";

export type ChaosOptions = {
  readonly seed: number;
  readonly sandboxes: number;
  readonly rounds: number;
  /** Longest time from a start of the daemon to its next end, in ms. */
  readonly maxLifeMs: number;
  readonly log?: (line: string) => void;
};

export type ChaosResult = { readonly kills: number; readonly operations: number; readonly repeated: number };

/** Runs the load and the kills; throws an AssertionError that names the seed when something does not hold. */
export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const random = seededRandom(options.seed);
  // So many VMs at once are more than a small host promises by default.
  await using stack = await Stack.start({ PADDOCK_CPU_OVERCOMMIT: "16" });
  const image = await stack.tinyImage();
  // What the first sandbox leaves for all others, such as the template of their writable layers, is no leak.
  await runIdle(stack, "first");
  await deleteAll(stack);
  const clean = hostSnapshot(stack.stateDirectory);
  const workers = Array.from(
    { length: options.sandboxes },
    (_, index) => new ChaosWorker(stack, `chaos-${index}`, image, seededRandom(options.seed + index + 1)),
  );
  let stopping = false;
  const running = workers.map((worker) => worker.run(() => stopping));
  const failed = Promise.all(running);
  failed.catch(() => {});
  try {
    // A boot takes longer than the daemon is let live: kills begin when all sandboxes are there.
    await Promise.race([Promise.all(workers.map((worker) => worker.first)), failed]);
    for (let round = 0; round < options.rounds; round++) {
      await Promise.race([pause(random, options.maxLifeMs), failed]);
      await stack.killNode();
      await stack.startNode();
      options.log?.(`round ${round + 1} of ${options.rounds}: ${count(workers, "operations")} operations`);
    }
    stopping = true;
    await failed;
    for (const worker of workers) await worker.verify();
    await verifyMachines(stack);
    await deleteAll(stack);
    assert.deepEqual(hostSnapshot(stack.stateDirectory), clean, "something is left of the sandboxes");
  } catch (error) {
    stopping = true;
    if (error instanceof Error) error.message += ` (seed ${options.seed})`;
    throw error;
  }
  return {
    kills: options.rounds,
    operations: count(workers, "operations"),
    repeated: count(workers, "repeated"),
  };
}

const count = (workers: readonly ChaosWorker[], what: "operations" | "repeated") =>
  workers.reduce((sum, worker) => sum + worker[what], 0);

const pause = (random: Random, maxMs: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, random.below(maxMs)));

/** Every record of a live sandbox has its VM, and every VM is that of such a record. */
async function verifyMachines({ client, stateDirectory }: Stack): Promise<void> {
  const { sandboxes } = await client.sandboxes.listSandboxes({ pageSize: 1000 });
  const live = sandboxes.filter(({ status }) => status?.state !== SandboxState.STOPPED);
  const recorded = live.map(({ sandboxId }) => sandboxPaths(stateDirectory, sandboxId).dir);
  const running = machinesOf(stateDirectory).map((pid) => {
    const command = readFileSync(`/proc/${pid}/cmdline`, "latin1");
    return /path=(.*?\/sandboxes\/[0-9a-f]{16})\//.exec(command)?.[1];
  });
  assert.deepEqual(running.sort(), recorded.sort(), "VMs, and records of live sandboxes");
}

async function deleteAll(stack: Stack): Promise<void> {
  const { sandboxes } = await stack.client.sandboxes.listSandboxes({ pageSize: 1000 });
  await Promise.all(
    sandboxes.map(({ sandboxId }) =>
      stack.client.sandboxes.deleteSandbox({ requestId: crypto.randomUUID(), sandboxId, force: true }),
    ),
  );
}
