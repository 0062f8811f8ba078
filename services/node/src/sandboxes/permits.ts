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

/** As `permits`, for a container. Throws CONTAINER_NOT_FOUND too. */
export function permitsContainer(sandbox: Recorded, containerId: string, request: ContainerRequest): boolean {
  const { record, sandboxId } = sandbox;
  const { phase } = requireContainer(sandbox, containerId);
  const decision = decide({ about: "container", sandbox: record.phase.kind, state: phase.kind, request });
  if (decision.kind === "deny")
    throw (
      lossOf(record) ?? denial(`${words(request)} container ${containerId} of sandbox ${sandboxId}`, decision)
    );
  return decision.kind === "accept";
}

/** The container's record. Throws CONTAINER_NOT_FOUND. */
export function requireContainer({ record, sandboxId }: Recorded, containerId: string): ContainerRecord {
  const container = containerOf(record, containerId);
  if (container !== undefined) return container;
  throw new PaddockError("CONTAINER_NOT_FOUND", `sandbox ${sandboxId} has no container ${containerId}`);
}

/** What the error of a request says before "sandbox s1" or "container c1 of sandbox s1", where it is not the request's own name. */
const WORDS: Readonly<Partial<Record<SandboxRequest | ContainerRequest, string>>> = {
  stats: "read the figures of",
  create_container: "create a container in",
  change_hardware: "change the hardware of",
  list_processes: "list the processes of",
  signal_process: "signal a process of",
  resize_tty: "resize a terminal of",
  attach: "attach to",
  exec: "exec in",
  wait: "wait for a process of",
};

const words = (request: SandboxRequest | ContainerRequest): string =>
  WORDS[request] ?? request.replaceAll("_", " ");
