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

/** The answer to a request by state. A state that is not named is denied. */
type Rule<State extends string> = { readonly [S in State]?: "accept" | "ignore" };

const RUNNING = { running: "accept" } as const;
const READY_OR_RUNNING = { ready: "accept", running: "accept" } as const;
const NOT_PAUSED = { ...READY_OR_RUNNING, stopped: "accept" } as const;
const WITH_VM = { ...READY_OR_RUNNING, paused: "accept" } as const;
const ALWAYS = { ...WITH_VM, stopped: "accept" } as const;

const start = { ready: "accept", stopped: "accept", running: "ignore" } as const;
const stop = { ...WITH_VM, stopped: "ignore" } as const;
const pause = { running: "accept", paused: "ignore" } as const;
const resume = { paused: "accept", running: "ignore" } as const;

/** Requests about a sandbox as a whole. */
const SANDBOX_RULES = {
  start,
  stop,
  delete: { creating: "accept", ready: "accept", stopped: "accept", deleting: "accept" },
  force_delete: { ...ALWAYS, creating: "accept", deleting: "accept" },
  pause,
  resume,
  stats: WITH_VM,
  port_forward: RUNNING,
  create_container: READY_OR_RUNNING,
  change_hardware: READY_OR_RUNNING,
  remove_hardware: NOT_PAUSED,
  change_network: READY_OR_RUNNING,
} as const satisfies Record<string, Rule<SandboxState>>;
export type SandboxRequest = keyof typeof SANDBOX_RULES;

/**
 * Requests about one container of a sandbox. One that ends something must not fail because the VM is stopped. A wait may span a
 * pause, and when the VM is gone the record has the exit status. A process can be attached to and waited for until its container
 * is deleted; the cgroup outlives its processes until then, and the files do, too.
 */
const CONTAINER_RULES = {
  start: { sandbox: RUNNING, container: start },
  stop: { sandbox: NOT_PAUSED, container: stop },
  delete: { sandbox: NOT_PAUSED, container: { ready: "accept", stopped: "accept" } },
  force_delete: { sandbox: NOT_PAUSED, container: ALWAYS },
  kill: { sandbox: NOT_PAUSED, container: stop },
  pause: { sandbox: RUNNING, container: pause },
  resume: { sandbox: RUNNING, container: resume },
  update: { sandbox: READY_OR_RUNNING, container: WITH_VM },
  stats: { sandbox: READY_OR_RUNNING, container: ALWAYS },
  list_processes: { sandbox: RUNNING, container: WITH_VM },
  exec: { sandbox: RUNNING, container: RUNNING },
  attach: { sandbox: READY_OR_RUNNING, container: ALWAYS },
  wait: { sandbox: ALWAYS, container: ALWAYS },
  signal_process: { sandbox: NOT_PAUSED, container: stop },
  resize_tty: { sandbox: READY_OR_RUNNING, container: stop },
  files: { sandbox: READY_OR_RUNNING, container: ALWAYS },
} as const satisfies Record<
  string,
  { readonly sandbox: Rule<SandboxState>; readonly container: Rule<ContainerState> }
>;
export type ContainerRequest = keyof typeof CONTAINER_RULES;

const keysOf = <T extends object>(table: T) =>
  Object.keys(table).filter((key): key is keyof T & string => Object.hasOwn(table, key));

export const SANDBOX_REQUESTS: readonly SandboxRequest[] = keysOf(SANDBOX_RULES);
export const CONTAINER_REQUESTS: readonly ContainerRequest[] = keysOf(CONTAINER_RULES);

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
export function decide(question: Question): Decision & { readonly about: "sandbox" | "container" } {
  if (question.about === "sandbox")
    return { ...answer(question.state, SANDBOX_STATES, SANDBOX_RULES[question.request]), about: "sandbox" };
  const rules = CONTAINER_RULES[question.request];
  const gate = answer(question.sandbox, SANDBOX_STATES, rules.sandbox);
  if (gate.kind === "deny") return { ...gate, about: "sandbox" };
  return { ...answer(question.state, CONTAINER_STATES, rules.container), about: "container" };
}

function answer<State extends string>(
  actual: State,
  states: readonly State[],
  rule: Rule<State>,
): Decision<State> {
  const kind = rule[actual];
  if (kind !== undefined) return { kind };
  return { kind: "deny", actual, allowed: states.filter((state) => rule[state] !== undefined) };
}

/**
 * The error of a denial: WRONG_STATE, with `actual_state` and `allowed_states` (comma separated) in its metadata.
 * `what` is the attempted action, such as "start container web of sandbox s1".
 */
export function denial(
  what: string,
  { actual, allowed, about }: Extract<ReturnType<typeof decide>, { kind: "deny" }>,
): PaddockError {
  return new PaddockError("WRONG_STATE", `cannot ${what}: the ${about} is ${actual}`, {
    metadata: { actual_state: actual, allowed_states: allowed.join(","), state_of: about },
    ...(allowed.length > 0 && { hint: `the ${about} must be ${allowed.join(" or ")}` }),
  });
}
