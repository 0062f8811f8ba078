/** Whether the states of a sandbox and its containers allow what is asked. */
import { type ContainerRequest, decide, denial, PaddockError, type SandboxRequest } from "@paddock/domain";
import { lossOf } from "../record/lost-vm.ts";
import { type ContainerRecord, containerOf } from "../record/sandbox-record.ts";
import type { LiveSandbox } from "./live-sandbox.ts";

type Recorded = Pick<LiveSandbox, "sandboxId" | "record">;

/** Whether the sandbox's state asks for work (true) or has it done already (false). Throws WRONG_STATE, VM_UNAVAILABLE once the VM was lost. */
export function permits({ record, sandboxId }: Recorded, request: SandboxRequest): boolean {
  const decision = decide({ about: "sandbox", state: record.phase.kind, request });
  if (decision.kind === "deny")
    throw lossOf(record) ?? denial(`${words(request)} sandbox ${sandboxId}`, decision);
  return decision.kind === "accept";
}

/** As `permits`, for a container; `what` is how the error names the request. Throws CONTAINER_NOT_FOUND too. */
export function permitsContainer(
  sandbox: Recorded,
  containerId: string,
  request: ContainerRequest,
  what = words(request),
): boolean {
  const { record, sandboxId } = sandbox;
  const { phase } = requireContainer(sandbox, containerId);
  const decision = decide({
    about: "container",
    sandbox: record.phase.kind,
    state: phase.kind,
    request,
  });
  if (decision.kind === "deny")
    throw lossOf(record) ?? denial(`${what} container ${containerId} of sandbox ${sandboxId}`, decision);
  return decision.kind === "accept";
}

/** The container's record. Throws CONTAINER_NOT_FOUND. */
export function requireContainer({ record, sandboxId }: Recorded, containerId: string): ContainerRecord {
  const container = containerOf(record, containerId);
  if (container !== undefined) return container;
  throw new PaddockError("CONTAINER_NOT_FOUND", `sandbox ${sandboxId} has no container ${containerId}`);
}

/** The request as an error's text names it, before "sandbox s1" or "container c1 of sandbox s1". */
function words(request: SandboxRequest | ContainerRequest): string {
  switch (request) {
    case "stats":
      return "read the figures of";
    case "create_container":
      return "create a container in";
    case "change_hardware":
      return "change the hardware of";
    case "list_processes":
      return "list the processes of";
    case "signal_process":
      return "signal a process of";
    case "resize_tty":
      return "resize a terminal of";
    default:
      return request.replaceAll("_", " ");
  }
}
