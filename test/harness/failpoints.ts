/** Failpoints of a node daemon, seen from the test: arms them in the child and hears when they are reached. */
import type { ChildProcess } from "node:child_process";
import { GUEST_STEPS } from "../../services/node/src/lifecycle/boot.ts";
import { CONTAINER_STEPS } from "../../services/node/src/lifecycle/create-container.ts";
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

/** Behind each step of a sandbox's creation, where the most is there to be taken back. */
export const SANDBOX_POINTS: readonly string[] = pointsOf("sandbox", [...HOST_RESOURCES, ...GUEST_STEPS]);
/** The same of a container that is created in a running sandbox. */
export const CONTAINER_POINTS: readonly string[] = pointsOf("container", CONTAINER_STEPS);

export class Failpoints {
  readonly #daemon: () => ChildProcess;

  constructor(daemon: () => ChildProcess) {
    this.#daemon = daemon;
  }

  /**
   * Arms a point, or any with `*`, once: what comes there fails (`fail`), waits for `release` (`hold`), or takes the daemon along
   * by SIGKILL (`die`). Settles when it is armed; `reached` settles when something has come there.
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

  /** Disarms what is armed and lets go on what is held. */
  async release(): Promise<void> {
    await this.#order({ order: "release" });
  }

  async #order(order: FailpointOrder): Promise<void> {
    const daemon = this.#daemon();
    if (!daemon.connected) throw new Error("the daemon is gone");
    const done = Promise.withResolvers<void>();
    const onMessage = (message: FailpointAnswer) => {
      if (message.answer === "done" && message.order === order.order) done.resolve();
    };
    const onExit = () => done.reject(new Error("the daemon is gone"));
    daemon.on("message", onMessage).once("exit", onExit);
    daemon.send(order);
    try {
      await done.promise;
    } finally {
      daemon.off("message", onMessage).off("exit", onExit);
    }
  }
}
