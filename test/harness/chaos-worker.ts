/**
 * A client that continues when the daemon is killed, and remembers the answers it received.
 *
 * Each operation has one request id (or exec id) and is repeated with it until it has an outcome. An acknowledged outcome must
 * hold later: a created sandbox exists, a deleted one does not, and a reported exit code does not change.
 */
import { PaddockError } from "@paddock/domain";
import { SandboxState, StopCause } from "@paddock/protocol";
import { findSame } from "./chaos-finding.ts";
import { exec } from "./exec.ts";
import { idle } from "./sandbox.ts";
import type { Random } from "./seeded-random.ts";
import { inSeconds, type Stack } from "./stack.ts";

const PATIENCE_S = 180;
/** Failures after which the outcome is unknown. */
const UNKNOWN: readonly string[] = ["unavailable", "deadline_exceeded", "cancelled", "aborted"];

export type Known = {
  state: "absent" | "running" | "stopped";
  /** Exit codes by exec id, since the last start of the container. */
  readonly codes: Map<string, number>;
  /** The CPU shares of the last update. */
  shares: bigint;
};

export class ChaosWorker {
  readonly sandboxId: string;
  readonly known: Known = { state: "absent", codes: new Map(), shares: 0n };
  operations = 0;
  repeated = 0;
  /** Resolves when the first operation has its outcome. */
  readonly first: Promise<void>;
  readonly #firstDone: () => void;
  readonly #stack: Stack;
  readonly #random: Random;
  readonly #image: string;

  constructor(stack: Stack, sandboxId: string, image: string, random: Random) {
    this.#stack = stack;
    this.sandboxId = sandboxId;
    this.#image = image;
    this.#random = random;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.first = promise;
    this.#firstDone = resolve;
  }

  /** Runs one operation after the other, and checks `stopping` in between. */
  async run(stopping: () => boolean): Promise<void> {
    while (!stopping()) {
      await this.#step();
      this.operations += 1;
      this.#firstDone();
    }
  }

  async #step(): Promise<void> {
    if (this.known.state === "absent") return await this.#create();
    if (this.known.state === "stopped")
      return await (this.#random.below(2) === 0 ? this.#start() : this.#delete());
    switch (this.#random.below(16)) {
      case 0:
        return await this.#delete();
      case 1:
        return await this.#stop();
      case 2:
      case 3:
        return await this.#checkWaits();
      case 4:
        return await this.#pauseAndResume();
      case 5:
      case 6:
        return await this.#update();
      case 7:
      case 8:
        return await this.#runBeside();
      case 9:
        return await this.#killAndStart();
      case 10:
        return await this.#readStats();
      default:
        return await this.#exec();
    }
  }

  async #create(): Promise<void> {
    const containers = [{ containerId: "c1", image: this.#image, process: idle }];
    const request = { requestId: this.#id(), sandboxId: this.sandboxId, spec: { containers } };
    await this.#until(() => this.#stack.client.sandboxes.runSandbox(request, { deadline: inSeconds(90) }));
    this.known.state = "running";
    this.known.codes.clear();
    this.known.shares = 0n;
  }

  async #pauseAndResume(): Promise<void> {
    const { sandboxes } = this.#stack.client;
    const [pause, resume] = [this.#id(), this.#id()];
    const at = { sandboxId: this.sandboxId };
    await this.#until(() => sandboxes.pauseSandbox({ ...at, requestId: pause }, { deadline: inSeconds(30) }));
    await this.#until(() =>
      sandboxes.resumeSandbox({ ...at, requestId: resume }, { deadline: inSeconds(60) }),
    );
  }

  async #update(): Promise<void> {
    const cpuShares = BigInt(2 + this.#random.below(2000));
    const request = { ...this.#c1, requestId: this.#id(), resources: { cpuShares } };
    await this.#until(() =>
      this.#stack.client.containers.updateContainer(request, { deadline: inSeconds(60) }),
    );
    this.known.shares = cpuShares;
  }

  /** Creates a container that exits with a code, and deletes it. */
  async #runBeside(): Promise<void> {
    const { containers, processes } = this.#stack.client;
    const code = this.#random.below(100);
    const at = { sandboxId: this.sandboxId, containerId: "c2" };
    const process = { args: ["sh", "-c", `exit ${code}`] };
    const spec = { containerId: "c2", image: this.#image, process };
    const [create, start, remove] = [this.#id(), this.#id(), this.#id()];
    const patience = () => ({ deadline: inSeconds(60) });
    const { sandboxId } = this;
    await this.#until(() => containers.createContainer({ sandboxId, requestId: create, spec }, patience()));
    await this.#until(() => containers.startContainer({ ...at, requestId: start }, patience()));
    await this.#until(async () => {
      const { status } = await processes.waitProcess({ ...at, execId: "c2" }, patience());
      findSame("invented_exits", `the end of c2 of ${sandboxId}`, status?.code, code);
    });
    await this.#until(async () => {
      const { container } = await containers.getContainerStatus(at, patience());
      findSame("invented_exits", `the end of c2 of ${sandboxId}`, container?.exitStatus?.code, code);
      findSame(
        "invented_exits",
        `the cause of the end of c2 of ${sandboxId}`,
        container?.stopCause,
        StopCause.EXITED,
      );
      // A start that is repeated after a crash must not run it again.
      findSame("invented_exits", `the runs of c2 of ${sandboxId}`, container?.restartCount, 0);
    });
    await this.#until(() => containers.deleteContainer({ ...at, requestId: remove }, patience()));
  }

  async #killAndStart(): Promise<void> {
    const { containers, processes } = this.#stack.client;
    const [kill, start] = [this.#id(), this.#id()];
    const patience = () => ({ deadline: inSeconds(60) });
    await this.#until(() =>
      containers.killContainer({ ...this.#c1, requestId: kill, signal: "KILL", all: true }, patience()),
    );
    await this.#until(async () => {
      const { status } = await processes.waitProcess({ ...this.#c1, execId: "c1" }, patience());
      findSame("invented_exits", `the end of c1 of ${this.sandboxId}`, status?.signal, 9);
    });
    await this.#until(() => containers.startContainer({ ...this.#c1, requestId: start }, patience()));
    this.known.codes.clear();
  }

  async #readStats(): Promise<void> {
    const request = { sandboxId: this.sandboxId };
    await this.#until(async () => {
      const { stats } = await this.#stack.client.sandboxes.getSandboxStats(request, {
        deadline: inSeconds(30),
      });
      findSame(
        "lost_results",
        `use of ${this.sandboxId}`,
        (stats?.host?.memory?.usageBytes ?? 0n) > 0n,
        true,
      );
    });
  }

  get #c1() {
    return { sandboxId: this.sandboxId, containerId: "c1" };
  }

  async #delete(): Promise<void> {
    const request = { requestId: this.#id(), sandboxId: this.sandboxId, force: true };
    await this.#until(() => this.#stack.client.sandboxes.deleteSandbox(request, { deadline: inSeconds(60) }));
    this.known.state = "absent";
    this.known.codes.clear();
  }

  async #stop(): Promise<void> {
    const request = { requestId: this.#id(), sandboxId: this.sandboxId, grace: { seconds: 1n, nanos: 0 } };
    await this.#until(() => this.#stack.client.sandboxes.stopSandbox(request, { deadline: inSeconds(60) }));
    this.known.state = "stopped";
    this.known.codes.clear();
  }

  async #start(): Promise<void> {
    const request = { requestId: this.#id(), sandboxId: this.sandboxId };
    await this.#until(() => this.#stack.client.sandboxes.startSandbox(request, { deadline: inSeconds(90) }));
    this.known.state = "running";
  }

  async #exec(): Promise<void> {
    const code = this.#random.below(100);
    const execId = this.#id();
    const at = { sandboxId: this.sandboxId, containerId: "c1" };
    await this.#until(async () => {
      try {
        const done = await exec(this.#stack.client, ["sh", "-c", `exit ${code}`], { ...at, execId });
        findSame("invented_exits", `the end of ${execId}`, done.status.code, code);
      } catch (error) {
        if (!(error instanceof PaddockError) || error.reason !== "PROCESS_EXISTS") throw error;
        // An earlier attempt has started it.
        const { status } = await this.#stack.client.processes.waitProcess(
          { ...at, execId },
          { deadline: inSeconds(60) },
        );
        findSame("invented_exits", `the end of ${execId}`, status?.code, code);
      }
    });
    this.known.codes.set(execId, code);
  }

  async #checkWaits(): Promise<void> {
    for (const [execId, code] of [...this.known.codes].slice(-5)) {
      const request = { sandboxId: this.sandboxId, containerId: "c1", execId };
      await this.#until(async () => {
        const { status } = await this.#stack.client.processes.waitProcess(request, {
          deadline: inSeconds(60),
        });
        findSame("invented_exits", `the end of ${execId}`, status?.code, code);
      });
    }
  }

  /** Checks that the daemon's answer about the sandbox matches the answers that this client received. */
  async verify(): Promise<void> {
    const { sandboxId } = this;
    const reported = await this.#stack.client.sandboxes.getSandboxStatus({ sandboxId }).then(
      (answer) => answer.status,
      (error: unknown) => {
        if (error instanceof PaddockError && error.reason === "SANDBOX_NOT_FOUND") return undefined;
        throw error;
      },
    );
    const wanted = { absent: undefined, running: SandboxState.RUNNING, stopped: SandboxState.STOPPED }[
      this.known.state
    ];
    findSame("lost_results", `the state of ${sandboxId}`, reported?.state, wanted);
    if (reported === undefined) return;
    const ids = reported.containers.map(({ containerId }) => containerId);
    findSame("lost_results", `the containers of ${sandboxId}`, ids.join(), "c1");
    const [c1] = reported.containers;
    findSame("lost_results", `the shares of ${sandboxId}`, c1?.resources?.cpuShares ?? 0n, this.known.shares);
    const wantedCause = this.known.state === "stopped" ? StopCause.REQUESTED : StopCause.UNSPECIFIED;
    findSame("invented_exits", `the cause of ${sandboxId}'s end`, reported.stopCause, wantedCause);
    findSame("invented_exits", `the cause of the end of c1 of ${sandboxId}`, c1?.stopCause, wantedCause);
    if (this.known.state === "running") await this.#checkWaits();
  }

  #id(): string {
    return `${this.sandboxId}-${this.operations}-${this.#random.below(2 ** 31)}`;
  }

  async #until(attempt: () => Promise<unknown>): Promise<void> {
    const giveUp = Date.now() + PATIENCE_S * 1000;
    for (;;) {
      try {
        await attempt();
        return;
      } catch (error) {
        const goOn = error instanceof PaddockError && UNKNOWN.includes(error.kind) && Date.now() < giveUp;
        if (!goOn) throw error;
        this.repeated += 1;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }
}
