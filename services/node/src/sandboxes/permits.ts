/** Whether the states of a sandbox and its containers allow a request. */
import { type ContainerRequest, decide, denial, PaddockError, type SandboxRequest } from "@paddock/domain";
import { lossOf } from "../record/lost-vm.ts";
import { type ContainerRecord, containerOf } from "../record/sandbox-record.ts";
import type { LiveSandbox } from "./live-sandbox.ts";

type Recorded = Pick<LiveSandbox, "sandboxId" | "record">;

/**
 * Returns true when the request has work to do, false when the sandbox is in the requested state already. Throws WRONG_STATE,
 * or VM_UNAVAILABLE after the loss of the VM.
 */
export function permits({ record, sandboxId }: Recorded, request: SandboxRequest): boolean {
  const decision = decide({ about: "sandbox", state: record.phase.kind, request });
  if (decision.kind === "deny")
    throw lossOf(record) ?? denial(`${words(request)} sandbox ${sandboxId}`, decision);
  return decision.kind === "accept";
}

/** As `permits`, for a container. Also throws CONTAINER_NOT_FOUND. */
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

/**
 * The words for a request in an error, before "sandbox s1" or "container c1 of sandbox s1", where they differ from its name.
 */
const WORDS: Readonly<Partial<Record<SandboxRequest | ContainerRequest, string>>> = {
  stats: "read the figures of",
  create_container: "create a container in",
  port_forward: "connect to a port of",
  change_hardware: "change the hardware of",
  remove_hardware: "remove hardware from",
  change_network: "change the network of",
  list_processes: "list the processes of",
  signal_process: "signal a process of",
  resize_tty: "resize a terminal of",
  attach: "attach to",
  exec: "exec in",
  wait: "wait for a process of",
  files: "use the files of",
};

const words = (request: SandboxRequest | ContainerRequest): string =>
  WORDS[request] ?? request.replaceAll("_", " ");
