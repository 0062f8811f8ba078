/**
 * The node daemon with failpoints around every step of a creation, and of changes of interfaces and routes. This module wraps host
 * resources and steps, and then starts the daemon's main module. So the released code contains no failpoints, and new steps have
 * them automatically. The parent arms a failpoint over the IPC channel.
 */
import { INTERFACE_STEPS } from "../../services/node/src/lifecycle/add-interface.ts";
import { GUEST_STEPS } from "../../services/node/src/lifecycle/boot.ts";
import { CONTAINER_STEPS } from "../../services/node/src/lifecycle/create-container.ts";
import { REMOVAL_STEPS } from "../../services/node/src/lifecycle/remove-interface.ts";
import { ROUTES_STEPS } from "../../services/node/src/lifecycle/update-routes.ts";
import { HOST_RESOURCES } from "../../services/node/src/resources/host-resources.ts";
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

type Work<Context> = (context: Context, signal: AbortSignal) => Promise<void>;
type AnyStep = { readonly name: string; run: Work<never>; undo?: Work<never> };

function wrap(list: string, steps: readonly AnyStep[]): void {
  for (const step of steps) {
    step.run = between(step.run.bind(step), `${list}/${step.name}`);
    if (step.undo !== undefined) step.undo = between(step.undo.bind(step), `${list}/${step.name}/undo`);
  }
}

function between<Context>(work: Work<Context>, point: string): Work<Context> {
  return async (context, signal) => {
    await failpoint(`${point}/before`);
    await work(context, signal);
    await failpoint(`${point}/after`);
  };
}

for (const resource of HOST_RESOURCES) {
  const point = `sandbox/${resource.name}`;
  resource.acquire = between(resource.acquire.bind(resource), point);
  resource.release = between(resource.release.bind(resource), `${point}/undo`);
}
wrap("sandbox", GUEST_STEPS);
wrap("container", CONTAINER_STEPS);
wrap("interface", INTERFACE_STEPS);
wrap("routes", ROUTES_STEPS);
wrap("interface-removal", REMOVAL_STEPS);
await import("../../services/node/src/main.ts");
