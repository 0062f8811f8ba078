/**
 * Finds the sandbox or the container that a user names: `SANDBOX` or `SANDBOX/CONTAINER`.
 *
 * A chosen name is matched as a whole, by every command: "rm job-1" never means job-10. Only a generated id may be shortened,
 * to a prefix that no other one has. The whole id is tried first, so that an exact name costs one call and does not depend on
 * what else exists.
 */
import { listAllSandboxes, type SandboxQuery } from "@paddock/client";
import { PaddockError, parseSandboxId } from "@paddock/domain";
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

export async function findSandbox(run: CommandRun, text: string): Promise<SandboxTarget> {
  const what = `find sandbox "${printable(text)}"`;
  try {
    const { status } = await run.api.sandboxes.getSandboxStatus({ sandboxId: text }, run.callOptions());
    if (status) return { sandboxId: status.sandboxId, status };
  } catch (error) {
    if (!(error instanceof PaddockError) || error.kind !== "not_found") throw run.explain(error, { what });
  }
  const all = await listSandboxes(run);
  const matches = all.filter(({ sandboxId }) => isShortFor(text, sandboxId));
  const [only] = matches;
  if (only?.status && matches.length === 1) return { sandboxId: only.sandboxId, status: only.status };
  throw notFound(
    run,
    "sandbox",
    text,
    matches.map((s) => s.sandboxId),
    all.map((s) => s.sandboxId),
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
  if (name === undefined) {
    const hint = ids.length === 0 ? "" : `it has ${ids.join(", ")}: write ${target.sandboxId}/${ids[0]}`;
    throw new CliError(
      `sandbox "${target.sandboxId}" has ${ids.length === 0 ? "no container" : "several containers"}`,
      {
        exitCode: run.failureCode,
        hint: hint || undefined,
      },
    );
  }
  throw notFound(
    run,
    `container in sandbox "${target.sandboxId}"`,
    name,
    ids.filter((id) => isShortFor(name, id)),
    ids,
  );
}

const impliedContainer = (containers: readonly ContainerStatus[]): ContainerStatus | undefined =>
  containers.length === 1 ? containers[0] : containers.find((c) => c.containerId === MAIN_CONTAINER);

function namedContainer(containers: readonly ContainerStatus[], name: string): ContainerStatus | undefined {
  const exact = containers.find((c) => c.containerId === name);
  const matches = containers.filter((c) => isShortFor(name, c.containerId));
  return exact ?? (matches.length === 1 ? matches[0] : undefined);
}

/** All sandboxes, with a note to the user about nodes that do not answer. Throws `CliError`. */
export async function listSandboxes(run: CommandRun, query: SandboxQuery = {}): Promise<readonly Sandbox[]> {
  const { sandboxes, unreachableNodes } = await run.call({ what: "list the sandboxes" }, (api, options) =>
    listAllSandboxes(api, query, options),
  );
  if (unreachableNodes.length > 0) {
    run.warn(
      `no answer from ${unreachableNodes.map(printable).join(", ")}: sandboxes there are missing from this list`,
    );
  }
  return sandboxes;
}

function notFound(
  run: CommandRun,
  kind: string,
  text: string,
  matches: readonly string[],
  all: readonly string[],
): CliError {
  const exitCode = run.failureCode;
  if (matches.length > 1) {
    const hint = `it could be ${matches.slice(0, 5).join(", ")}${matches.length > 5 ? ", …" : ""}: write more of it`;
    return new CliError(`"${printable(text)}" begins the id of more than one ${kind}`, { exitCode, hint });
  }
  const begun = text === "" ? undefined : all.find((id) => id.startsWith(text));
  const similar = begun ?? closest(text, all);
  const hint = similar === undefined ? 'see "paddock ps -a"' : `did you mean ${similar}?`;
  return new CliError(`there is no ${kind} "${printable(text)}"`, { exitCode, hint });
}
