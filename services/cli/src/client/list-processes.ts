/** Lists the processes in the containers of a sandbox. */
import { ENDED_KINDS } from "@paddock/client";
import type { ErrorKind } from "@paddock/domain";
import { ContainerState, type ContainerStatus, SandboxState } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import type { CommandRun } from "../command-run.ts";
import type { ContainerProcess } from "../output/process-table.ts";
import { sandboxStateText } from "../output/status-text.ts";
import { findContainer, findSandbox, parseReference, type SandboxTarget } from "./targets.ts";

/** The processes of SANDBOX/CONTAINER, or of all running containers of SANDBOX, by container and PID. Throws `CliError`. */
export async function listProcesses(run: CommandRun, target: string): Promise<ContainerProcess[]> {
  if (parseReference(target).container !== undefined) {
    const { sandboxId, containerId } = await findContainer(run, target);
    return processesOf(run, sandboxId, containerId, new Set());
  }
  const sandbox = await findSandbox(run, target);
  requireRunning(sandbox);
  // A container may end before its processes are listed.
  const lists = await Promise.all(
    sandbox.status.containers
      .filter(hasProcesses)
      .map(({ containerId }) => processesOf(run, sandbox.sandboxId, containerId, ENDED_KINDS)),
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
  ignored: ReadonlySet<ErrorKind>,
): Promise<ContainerProcess[]> {
  const what = `list the processes of "${sandboxId}/${containerId}"`;
  const answer = await run.callUnless(ignored, { what }, (api, call) =>
    api.containers.listProcesses({ sandboxId, containerId }, call),
  );
  return (answer?.processes ?? []).map((process) => ({ containerId, process }));
}
