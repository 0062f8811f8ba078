/**
 * Finds the sandbox or the container that a user names: `SANDBOX` or `SANDBOX/CONTAINER`.
 *
 * Every command matches a chosen name as a whole: "rm job-1" never means job-10. Only a generated id may be shortened, to a
 * prefix that no other one has. The whole id is tried first, so that an exact name costs one call and does not depend on other
 * ids.
 */
import { listAllSandboxes, type SandboxQuery } from "@paddock/client";
import { type ErrorKind, parseSandboxId } from "@paddock/domain";
import type { ContainerStatus, Sandbox, SandboxStatus } from "@paddock/protocol";
import { CliError, usageError } from "../cli-error.ts";
import type { CommandRun } from "../command-run.ts";
import { printable } from "../output/printable.ts";
import { closest } from "./closest.ts";
import { isShortFor } from "./generated-id.ts";

/** The container that `paddock run` creates in a new sandbox. */
export const MAIN_CONTAINER = "main";

export type SandboxTarget = { readonly sandboxId: string; readonly status: SandboxStatus };
export type ContainerTarget = SandboxTarget & {
  readonly containerId: string;
  readonly container: ContainerStatus;
};

export type Reference = { readonly sandbox: string; readonly container: string | undefined };

export function parseReference(text: string): Reference {
  const [sandbox = "", container, ...rest] = text.split("/");
  const ids = container === undefined ? [sandbox] : [sandbox, container];
  if (rest.length > 0 || ids.some((id) => parseSandboxId(id) === undefined)) {
    throw usageError(
      `"${printable(text)}" names neither a sandbox nor a container`,
      "write SANDBOX or SANDBOX/CONTAINER",
    );
  }
  return { sandbox, container };
}

const NOT_FOUND: ReadonlySet<ErrorKind> = new Set<ErrorKind>(["not_found"]);

export async function findSandbox(run: CommandRun, text: string): Promise<SandboxTarget> {
  const what = `find sandbox "${printable(text)}"`;
  const answer = await run.callUnless(NOT_FOUND, { what }, (api, call) =>
    api.sandboxes.getSandboxStatus({ sandboxId: text }, call),
  );
  if (answer?.status) return { sandboxId: answer.status.sandboxId, status: answer.status };
  const all = await listSandboxes(run);
  const matches = all.filter(({ sandboxId }) => isShortFor(text, sandboxId));
  const [only] = matches;
  if (only?.status && matches.length === 1) return { sandboxId: only.sandboxId, status: only.status };
  throw notFound(
    run,
    "sandbox",
    text,
    all.map((each) => each.sandboxId),
  );
}

/** Without a name, the container is the only one, or the one called "main". */
export async function findContainer(run: CommandRun, text: string): Promise<ContainerTarget> {
  const { sandbox, container: name } = parseReference(text);
  const target = await findSandbox(run, sandbox);
  const { containers } = target.status;
  const found = name === undefined ? impliedContainer(containers) : namedContainer(containers, name);
  if (found) return { ...target, containerId: found.containerId, container: found };
  const ids = containers.map((c) => c.containerId);
  const { sandboxId } = target;
  if (name !== undefined) throw notFound(run, `container in sandbox "${sandboxId}"`, name, ids);
  const exitCode = run.failureCode;
  if (ids.length === 0) throw new CliError(`sandbox "${sandboxId}" has no container`, { exitCode });
  const hint = `it has ${ids.join(", ")}: write ${sandboxId}/${ids[0]}`;
  throw new CliError(`sandbox "${sandboxId}" has several containers`, { exitCode, hint });
}

const impliedContainer = (containers: readonly ContainerStatus[]): ContainerStatus | undefined =>
  containers.length === 1 ? containers[0] : containers.find((c) => c.containerId === MAIN_CONTAINER);

function namedContainer(containers: readonly ContainerStatus[], name: string): ContainerStatus | undefined {
  const exact = containers.find((c) => c.containerId === name);
  const matches = containers.filter((c) => isShortFor(name, c.containerId));
  return exact ?? (matches.length === 1 ? matches[0] : undefined);
}

/** All sandboxes. Warns the user about nodes that do not answer. Throws `CliError`. */
export async function listSandboxes(run: CommandRun, query: SandboxQuery = {}): Promise<readonly Sandbox[]> {
  const { sandboxes, unreachableNodes } = await run.call({ what: "list the sandboxes" }, (api, options) =>
    listAllSandboxes(api, query, options),
  );
  warnOfMissing(run, unreachableNodes, "sandboxes there are missing from this list");
  return sandboxes;
}

/** Warns the user that nodes did not answer, and which data is missing as a result. */
export function warnOfMissing(run: CommandRun, unreachableNodes: readonly string[], missing: string): void {
  if (unreachableNodes.length > 0)
    run.warn(`no answer from ${unreachableNodes.map(printable).join(", ")}: ${missing}`);
}

function notFound(run: CommandRun, kind: string, text: string, all: readonly string[]): CliError {
  const exitCode = run.failureCode;
  const matches = all.filter((id) => isShortFor(text, id));
  if (matches.length > 1) {
    const hint = `it could be ${matches.slice(0, 5).join(", ")}${matches.length > 5 ? ", …" : ""}: write more characters`;
    return new CliError(`"${printable(text)}" begins the id of more than one ${kind}`, { exitCode, hint });
  }
  const begun = text === "" ? undefined : all.find((id) => id.startsWith(text));
  const similar = begun ?? closest(text, all);
  const hint = similar === undefined ? 'see "paddock ps -a"' : `did you mean ${similar}?`;
  return new CliError(`there is no ${kind} "${printable(text)}"`, { exitCode, hint });
}
