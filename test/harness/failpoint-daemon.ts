/**
 * The node daemon with failpoints around every step of a creation. It is the daemon itself, started from here so that what is
 * shipped has no failpoint in it: the lists of steps are wrapped before it begins, so a step that is new has failpoints too.
 * The parent arms one over the IPC channel.
 */
import { CONTAINER_STEPS } from "../../services/node/src/containers/create-container-entry.ts";
import { BRING_UP_STEPS } from "../../services/node/src/sandboxes/bring-up.ts";
import type { FailpointAnswer, FailpointOrder } from "./failpoints.ts";

let armed: { readonly point: string; readonly action: "fail" | "die" | "hold" } | undefined;
let goOn = Promise.withResolvers<void>();

const answer = (message: FailpointAnswer) => process.send?.(message);

process.on("message", (order: FailpointOrder) => {
  if (order.order === "arm") armed = order;
  else {
    armed = undefined;
    goOn.resolve();
    goOn = Promise.withResolvers();
  }
  answer({ answer: "done", order: order.order });
});
process.channel?.unref();

async function failpoint(point: string): Promise<void> {
  if (armed === undefined || (armed.point !== point && armed.point !== "*")) return;
  const { action } = armed;
  armed = undefined;
  if (action === "die") process.kill(process.pid, "SIGKILL");
  answer({ answer: "reached" });
  if (action === "fail") throw new Error(`the failpoint ${point}`);
  await goOn.promise;
}

type AnyStep = { readonly name: string; run(context: never, signal: AbortSignal): Promise<void> };

function wrap(list: string, steps: readonly AnyStep[]): void {
  for (const step of steps) {
    const run = step.run.bind(step);
    step.run = async (context, signal) => {
      await failpoint(`${list}/${step.name}/before`);
      await run(context, signal);
      await failpoint(`${list}/${step.name}/after`);
    };
  }
}

wrap("sandbox", BRING_UP_STEPS.create);
wrap("container", CONTAINER_STEPS);
await import("../../services/node/src/main.ts");
