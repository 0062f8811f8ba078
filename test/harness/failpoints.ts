/** Failpoints of a node daemon, from the side of the test: arms them in the child, and reports when one is reached. */
import type { ChildProcess } from "node:child_process";
import { INTERFACE_STEPS } from "../../services/node/src/lifecycle/add-interface.ts";
import { GUEST_STEPS } from "../../services/node/src/lifecycle/boot.ts";
import { CONTAINER_STEPS } from "../../services/node/src/lifecycle/create-container.ts";
import { REMOVAL_STEPS } from "../../services/node/src/lifecycle/remove-interface.ts";
import { ROUTES_STEPS } from "../../services/node/src/lifecycle/update-routes.ts";
import { HOST_RESOURCES } from "../../services/node/src/resources/host-resources.ts";

export type FailpointAction = "fail" | "die" | "hold";
export type FailpointOrder =
  | { readonly order: "arm"; readonly point: string; readonly action: FailpointAction }
  | { readonly order: "release" };
export type FailpointAnswer =
  | { readonly answer: "done"; readonly order: FailpointOrder["order"] }
  | { readonly answer: "reached"; readonly point: string };

const pointsOf = (list: string, steps: readonly { readonly name: string }[]): string[] =>
  steps.map(({ name }) => `${list}/${name}/after`);

/*
 * Points are before and after the work and the undo of each step: `<list>/<step>[/undo]/(before|after)`.
 */

/** After each step of a sandbox's creation, where there is most to undo. */
export const SANDBOX_POINTS: readonly string[] = pointsOf("sandbox", [...HOST_RESOURCES, ...GUEST_STEPS]);
/** After each step of a container's creation in a running sandbox. */
export const CONTAINER_POINTS: readonly string[] = pointsOf("container", CONTAINER_STEPS);
/** After each step of the addition of an interface, of an update of routes, and of the removal of an interface. */
export const INTERFACE_POINTS: readonly string[] = pointsOf("interface", INTERFACE_STEPS);
export const ROUTES_POINTS: readonly string[] = pointsOf("routes", ROUTES_STEPS);
export const REMOVAL_POINTS: readonly string[] = pointsOf("interface-removal", REMOVAL_STEPS);

export class Failpoints {
  readonly #daemon: () => ChildProcess;

  constructor(daemon: () => ChildProcess) {
    this.#daemon = daemon;
  }

  /**
   * Arms a point once; `*` is any point. The code that reaches it fails (`fail`), waits for `release` (`hold`), or kills the
   * daemon with SIGKILL (`die`). Resolves when the point is armed; `reached` resolves when it is reached.
   */
  async arm(point: string, action: FailpointAction): Promise<{ readonly reached: Promise<void> }> {
    const daemon = this.#daemon();
    const reached = Promise.withResolvers<void>();
    const onMessage = (message: FailpointAnswer) => {
      if (message.answer === "reached" && message.point === point) onEnd();
    };
    const onEnd = () => {
      daemon.off("message", onMessage).off("exit", onEnd);
      reached.resolve();
    };
    daemon.on("message", onMessage).once("exit", onEnd);
    await this.#order({ order: "arm", point, action });
    return { reached: reached.promise };
  }

  /** Disarms all points, and continues the code that waits at one. */
  async release(): Promise<void> {
    await this.#order({ order: "release" });
  }

  async #order(order: FailpointOrder): Promise<void> {
    const daemon = this.#daemon();
    if (!daemon.connected) throw new Error("the daemon has ended");
    const done = Promise.withResolvers<void>();
    const onMessage = (message: FailpointAnswer) => {
      if (message.answer === "done" && message.order === order.order) done.resolve();
    };
    const onExit = () => done.reject(new Error("the daemon has ended"));
    daemon.on("message", onMessage).once("exit", onExit);
    daemon.send(order);
    try {
      await done.promise;
    } finally {
      daemon.off("message", onMessage).off("exit", onExit);
    }
  }
}
