/**
 * The node daemon with failpoints around every step of a creation. It is the daemon itself, started from here so that what is
 * shipped has no failpoint in it: the lists of steps are wrapped before it begins, so a step that is new has failpoints too.
 * The parent arms one over the IPC channel.
 */
import { CONTAINER_STEPS } from "../../services/node/src/containers/create-container-entry.ts";
import { BRING_UP_STEPS } from "../../services/node/src/sandboxes/bring-up.ts";
import type { FailpointAction, FailpointAnswer, FailpointOrder } from "./failpoints.ts";

const armed = new Map<string, FailpointAction>();
let goOn = Promise.withResolvers<void>();

const answer = (message: FailpointAnswer) => process.send?.(message);

process.on("message", (order: FailpointOrder) => {
  if (order.order === "arm") armed.set(order.point, order.action);
  else {
    armed.clear();
    goOn.resolve();
    goOn = Promise.withResolvers();
  }
  answer({ answer: "done", order: order.order });
});
process.channel?.unref();

async function failpoint(point: string): Promise<void> {
  const key = armed.has(point) ? point : "*";
  const action = armed.get(key);
  if (action === undefined) return;
  armed.delete(key);
  if (action === "die") process.kill(process.pid, "SIGKILL");
  answer({ answer: "reached", point: key });
  if (action === "fail") throw new Error(`the failpoint ${point}`);
  await goOn.promise;
}

type Work = (context: never, signal: AbortSignal) => Promise<void>;
type AnyStep = { readonly name: string; run: Work; undo: Work };

function wrap(list: string, steps: readonly AnyStep[]): void {
  for (const step of steps) {
    step.run = between(step.run.bind(step), `${list}/${step.name}`);
    step.undo = between(step.undo.bind(step), `${list}/${step.name}/undo`);
  }
}

function between(work: Work, point: string): Work {
  return async (context, signal) => {
    await failpoint(`${point}/before`);
    await work(context, signal);
    await failpoint(`${point}/after`);
  };
}

wrap("sandbox", BRING_UP_STEPS.create);
wrap("container", CONTAINER_STEPS);
await import("../../services/node/src/main.ts");
