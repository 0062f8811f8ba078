/** What runs in containers of a sandbox. */
import { type ErrorKind, PaddockError } from "@paddock/domain";
import { ContainerState, type ContainerStatus, type ProcessEntry, SandboxState } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import type { CommandRun } from "../command-run.ts";
import { sandboxStateText } from "../output/status-text.ts";
import { ENDED } from "./call-failure.ts";
import { retried } from "./retry.ts";
import { findContainer, findSandbox, parseReference, type SandboxTarget } from "./targets.ts";

export type ContainerProcess = { readonly containerId: string; readonly process: ProcessEntry };

/** Of SANDBOX/CONTAINER, or of all containers of SANDBOX that run; by container, then by PID. Throws `CliError`. */
export async function listProcesses(run: CommandRun, target: string): Promise<ContainerProcess[]> {
  if (parseReference(target).container !== undefined) {
    const { sandboxId, containerId } = await findContainer(run, target);
    return processesOf(run, sandboxId, containerId, new Set());
  }
  const sandbox = await findSandbox(run, target);
  requireRunning(sandbox);
  // One that ended before it was asked has no processes.
  const lists = await Promise.all(
    sandbox.status.containers
      .filter(hasProcesses)
      .map(({ containerId }) => processesOf(run, sandbox.sandboxId, containerId, ENDED)),
  );
  return lists.flat();
}

const hasProcesses = ({ state }: ContainerStatus): boolean =>
  state === ContainerState.RUNNING || state === ContainerState.PAUSED;

function requireRunning({ sandboxId, status }: SandboxTarget): void {
  if (status.state === SandboxState.RUNNING) return;
  const hint =
    status.state === SandboxState.PAUSED ? `paddock resume ${sandboxId}` : `paddock start ${sandboxId}`;
  throw new CliError(
    `cannot list the processes of "${sandboxId}": it is ${sandboxStateText(status.state).toLowerCase()}`,
    { hint },
  );
}

async function processesOf(
  run: CommandRun,
  sandboxId: string,
  containerId: string,
  without: ReadonlySet<ErrorKind>,
): Promise<ContainerProcess[]> {
  try {
    const { processes } = await retried(
      () => run.api.containers.listProcesses({ sandboxId, containerId }, run.callOptions({})),
      run.signal,
    );
    return processes.map((process) => ({ containerId, process }));
  } catch (error) {
    if (error instanceof PaddockError && without.has(error.kind)) return [];
    throw run.explain(error, { what: `list the processes of "${sandboxId}/${containerId}"` });
  }
}
