/**
 * Which requests a sandbox and a container accept in which state.
 *
 *      creating ──> ready ──> running <──> paused
 *                     │          │            │
 *                     └──────────┴──> stopped ┘──> running (a new boot)
 *      any of them ──> deleting
 *
 * One pure function, `decide`, gives every (state, request) pair one of three decisions: `accept` (do it), `ignore` (it is done
 * already: succeed and change nothing) and `deny` (refuse, and name the states in which it is accepted). A request about a
 * container is checked against the sandbox's state first, then against the container's.
 */
import { PaddockError } from "./errors.ts";

export const SANDBOX_STATES = ["creating", "ready", "running", "paused", "stopped", "deleting"] as const;
export type SandboxState = (typeof SANDBOX_STATES)[number];

export const CONTAINER_STATES = ["ready", "running", "paused", "stopped"] as const;
export type ContainerState = (typeof CONTAINER_STATES)[number];

/** Requests about a sandbox as a whole. */
export const SANDBOX_REQUESTS = [
  "start",
  "stop",
  "delete",
  "force_delete",
  "pause",
  "resume",
  "stats",
  "create_container",
  "change_hardware",
] as const;
export type SandboxRequest = (typeof SANDBOX_REQUESTS)[number];

/** Requests about one container of a sandbox. */
export const CONTAINER_REQUESTS = [
  "start",
  "stop",
  "delete",
  "force_delete",
  "kill",
  "pause",
  "resume",
  "update",
  "stats",
  "list_processes",
  "exec",
  "attach",
  "wait",
  "signal_process",
  "resize_tty",
] as const;
export type ContainerRequest = (typeof CONTAINER_REQUESTS)[number];

export type Decision<State extends string = string> =
  | { readonly kind: "accept" }
  | { readonly kind: "ignore" }
  | { readonly kind: "deny"; readonly actual: State; readonly allowed: readonly State[] };

/** A question to `decide`. */
export type Question =
  | { readonly about: "sandbox"; readonly state: SandboxState; readonly request: SandboxRequest }
  | {
      readonly about: "container";
      readonly sandbox: SandboxState;
      readonly state: ContainerState;
      readonly request: ContainerRequest;
    };

/** Decides a question; see the top of this file. `about` says whose state denied a container's request. */
export function decide(question: Question): Decision & { readonly about?: "sandbox" | "container" } {
  switch (question.about) {
    case "sandbox":
      return { ...decideSandbox(question.state, question.request), about: "sandbox" };
    case "container": {
      const gate = sandboxGate(question.sandbox, question.request);
      if (gate.kind === "deny") return { ...gate, about: "sandbox" };
      return { ...decideContainer(question.state, question.request), about: "container" };
    }
    default:
      throw new Error(`no such question: ${JSON.stringify(question satisfies never)}`);
  }
}

type Verdict = "accept" | "ignore" | "deny";

function decideSandbox(state: SandboxState, request: SandboxRequest): Decision<SandboxState> {
  return answer(state, SANDBOX_STATES, (candidate) => sandboxVerdict(candidate, request));
}

function decideContainer(state: ContainerState, request: ContainerRequest): Decision<ContainerState> {
  return answer(state, CONTAINER_STATES, (candidate) => containerVerdict(candidate, request));
}

function answer<State extends string>(
  actual: State,
  states: readonly State[],
  verdict: (state: State) => Verdict,
): Decision<State> {
  const kind = verdict(actual);
  if (kind !== "deny") return { kind };
  return { kind, actual, allowed: states.filter((state) => verdict(state) !== "deny") };
}

function sandboxVerdict(state: SandboxState, request: SandboxRequest): Verdict {
  switch (request) {
    case "start":
      return byState(state, { ready: "accept", stopped: "accept", running: "ignore" });
    case "stop":
      return byState(state, { ready: "accept", running: "accept", paused: "accept", stopped: "ignore" });
    case "delete":
      return byState(state, { creating: "accept", ready: "accept", stopped: "accept", deleting: "accept" });
    case "force_delete":
      return "accept";
    case "pause":
      return byState(state, { running: "accept", paused: "ignore" });
    case "resume":
      return byState(state, { paused: "accept", running: "ignore" });
    case "stats":
      return byState(state, { ready: "accept", running: "accept", paused: "accept" });
    case "create_container":
    case "change_hardware":
      return byState(state, { ready: "accept", running: "accept" });
    default:
      throw new Error(`no such request: ${request satisfies never}`);
  }
}

/** What the sandbox's state decides about a container's request, before the container's own state is checked. */
function sandboxGate(state: SandboxState, request: ContainerRequest): Decision<SandboxState> {
  return answer(state, SANDBOX_STATES, (candidate) => sandboxGateVerdict(candidate, request));
}

function sandboxGateVerdict(state: SandboxState, request: ContainerRequest): Verdict {
  switch (request) {
    case "start":
    case "pause":
    case "resume":
    case "exec":
    case "list_processes":
      return byState(state, { running: "accept" });
    case "update":
    case "stats":
    case "attach":
    case "resize_tty":
      return byState(state, { ready: "accept", running: "accept" });
    // A wait may span a pause. When the VM is gone, the record has the exit status.
    case "wait":
      return byState(state, { ready: "accept", running: "accept", paused: "accept", stopped: "accept" });
    // These requests end something, so a stopped VM must not make them fail.
    case "stop":
    case "delete":
    case "force_delete":
    case "kill":
    case "signal_process":
      return byState(state, { ready: "accept", running: "accept", stopped: "accept" });
    default:
      throw new Error(`no such request: ${request satisfies never}`);
  }
}

function containerVerdict(state: ContainerState, request: ContainerRequest): Verdict {
  switch (request) {
    case "start":
      return byState(state, { ready: "accept", stopped: "accept", running: "ignore" });
    case "stop":
      return byState(state, { ready: "accept", running: "accept", paused: "accept", stopped: "ignore" });
    case "delete":
      return byState(state, { ready: "accept", stopped: "accept" });
    case "force_delete":
      return "accept";
    case "kill":
    case "signal_process":
    case "resize_tty":
      return byState(state, { ready: "accept", running: "accept", paused: "accept", stopped: "ignore" });
    // A process can be attached to and waited for until its container is deleted; the cgroup outlives its processes until then.
    case "attach":
    case "wait":
    case "stats":
      return "accept";
    case "pause":
      return byState(state, { running: "accept", paused: "ignore" });
    case "resume":
      return byState(state, { paused: "accept", running: "ignore" });
    case "update":
      return byState(state, { ready: "accept", running: "accept", paused: "accept" });
    case "list_processes":
      return byState(state, { ready: "accept", running: "accept", paused: "accept" });
    case "exec":
      return byState(state, { running: "accept" });
    default:
      throw new Error(`no such request: ${request satisfies never}`);
  }
}

/** A state that `verdicts` does not name is denied. */
function byState<State extends string>(
  state: State,
  verdicts: { readonly [S in State]?: "accept" | "ignore" },
): Verdict {
  return verdicts[state] ?? "deny";
}

/**
 * The error of a denial: WRONG_STATE, with `actual_state` and `allowed_states` (comma separated) in its metadata.
 * `what` is the attempted action, such as "start container web of sandbox s1".
 */
export function denial(
  what: string,
  decision: { readonly actual: string; readonly allowed: readonly string[]; readonly about?: string },
): PaddockError {
  const whose = decision.about ?? "it";
  return new PaddockError("WRONG_STATE", `cannot ${what}: the ${whose} is ${decision.actual}`, {
    metadata: {
      actual_state: decision.actual,
      allowed_states: decision.allowed.join(","),
      state_of: whose,
    },
    ...(decision.allowed.length > 0 && { hint: `the ${whose} must be ${decision.allowed.join(" or ")}` }),
  });
}
