/**
 * What Paddock's path adds to an exec.
 *
 * One VM, one container. `true` is executed many times through client, api and node. Then the node daemon is stopped (the VM
 * keeps running), the same client code calls the agent directly on its socket, and the daemon is started again. Three rounds make
 * a drift of the host affect both sides alike. The target is the difference of the medians.
 */
import { randomUUID } from "node:crypto";
import { globSync } from "node:fs";
import { join } from "node:path";
import type { agentpb, ProcessOutput } from "@paddock/protocol";
import { connectAgent } from "../../services/node/src/agent/connect-agent.ts";
import { runIdle } from "../harness/sandbox.ts";
import { Stack } from "../harness/stack.ts";
import { median, report } from "./report.ts";

const ROUNDS = 3;
const SAMPLES_PER_ROUND = 100;
/** The daemon is a new process in each round; until its code is compiled an exec costs several times as much. */
const WARM_UP = 150;
const LIMIT_MS = 5;

type Output = ProcessOutput | agentpb.ProcessOutput;

const at = { sandboxId: "bench-exec", containerId: "c1" };

/** Runs `once` many times. It returns the milliseconds until the exit code was known. */
async function sample(count: number, once: () => Promise<number>): Promise<number[]> {
  for (let left = WARM_UP; left > 0; left--) await once();
  const samples: number[] = [];
  for (let left = count; left > 0; left--) samples.push(await once());
  return samples;
}

/** Milliseconds from `begun` to the exit, which must be that of `true`. Reads the stream to its end. */
async function untilExit(
  begun: number,
  outputs: AsyncIterable<{ output?: Output | undefined }>,
): Promise<number> {
  let took: number | undefined;
  for await (const { output } of outputs) {
    if (output?.output.case !== "exited") continue;
    took = performance.now() - begun;
    if (output.output.value.code !== 0) throw new Error(`true ended with ${output.output.value.code}`);
  }
  if (took === undefined) throw new Error("the stream ended without an exit code");
  return took;
}

/** One exec of `true` on the agent's own socket, with the daemon's client code. */
async function execDirectly(agent: Awaited<ReturnType<typeof connectAgent>>): Promise<number> {
  const begun = performance.now();
  const start = {
    containerId: at.containerId,
    execId: randomUUID(),
    process: { args: ["true"], env: ["PATH=/bin"], defaultCapabilities: true },
  };
  const requests = (async function* () {
    yield { message: { case: "start" as const, value: start } };
  })();
  return await untilExit(begun, agent.processes.exec(requests));
}

async function execThroughPaddock(stack: Stack): Promise<number> {
  const begun = performance.now();
  const call = stack.client.processes.exec();
  await call.write({ message: { case: "start", value: { ...at, process: { args: ["true"] } } } });
  return await untilExit(begun, call);
}

async function directRound(stack: Stack): Promise<number[]> {
  const [socketPath] = globSync("**/agent.sock", { cwd: stack.stateDirectory });
  if (!socketPath) throw new Error("no agent socket below the node's state directory");
  await using agent = await connectAgent({
    socketPath: join(stack.stateDirectory, socketPath),
    deadlineMs: 20_000,
  });
  return await sample(SAMPLES_PER_ROUND, () => execDirectly(agent));
}

await using stack = await Stack.start();
await runIdle(stack, at.sandboxId);
const through: number[] = [];
const direct: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  through.push(...(await sample(SAMPLES_PER_ROUND, () => execThroughPaddock(stack))));
  await stack.stopNode();
  direct.push(...(await directRound(stack)));
  await stack.startNode();
}
report(
  "exec",
  { accelerator: "software emulation (TCG)", rounds: String(ROUNDS) },
  [
    { name: "exec of true, agent directly", unit: "ms", samples: direct },
    { name: "exec of true, client to guest", unit: "ms", samples: through },
  ],
  [{ name: "exec_path_added_ms", value: median(through) - median(direct), limit: LIMIT_MS }],
);
