/** The init process of a container: what the client asked for, and what it left open from the image. Pure. */
import { create } from "@bufbuild/protobuf";
import { PaddockError, parseSignal } from "@paddock/domain";
import type { ImageConfig } from "@paddock/images";
import { agentpb, type ProcessSpec } from "@paddock/protocol";

const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SIGTERM = 15;

/**
 * Merges a process with its image. Arguments of the client replace both entrypoint and command; its variables are added
 * to the image's, replacing those of the same name; the rest replaces when set. Throws INVALID_FIELD when neither says what to run.
 */
export function initProcess(
  spec: ProcessSpec | undefined,
  image: ImageConfig,
  containerId: string,
): agentpb.Process {
  const args = spec?.args.length ? spec.args : [...image.entrypoint, ...image.cmd];
  if (args.length === 0)
    throw new PaddockError(
      "INVALID_FIELD",
      `container ${containerId} has no command, and neither has its image`,
      {
        violations: [
          { field: "spec.process.args", description: "must be given, as the image names no command" },
        ],
      },
    );
  return agentProcess(spec, {
    args,
    env: mergeEnv(image.env, spec?.env ?? []),
    cwd: spec?.cwd || image.workingDir || "/",
    user: spec?.user || image.user,
  });
}

/** The parts of a process that an image may decide. */
export type ProcessBasics = Pick<agentpb.Process, "args" | "env" | "cwd" | "user">;

/** A process as the agent wants it, of a client's spec and what was merged before. */
export function agentProcess(spec: ProcessSpec | undefined, basics: ProcessBasics): agentpb.Process {
  const { capabilities, output, ttySize } = spec ?? {};
  return create(agentpb.ProcessSchema, {
    ...basics,
    additionalGroups: spec?.additionalGroups ?? [],
    capabilities: capabilities?.names ?? [],
    defaultCapabilities: capabilities === undefined,
    noNewPrivileges: spec?.noNewPrivileges ?? false,
    seccompUnconfined: spec?.seccompUnconfined ?? false,
    rlimits: (spec?.rlimits ?? []).map(({ type, soft, hard }) => ({ type, soft, hard })),
    terminal: spec?.terminal ?? false,
    ...(ttySize && { ttySize: { rows: ttySize.rows, columns: ttySize.columns } }),
    stdin: spec?.stdin ?? false,
    ringBytes: output?.ringBytes ?? 0,
    overflow: output?.dropOldest ? agentpb.OverflowPolicy.DROP_OLDEST : agentpb.OverflowPolicy.BLOCK,
    oomScoreAdj: spec?.oomScoreAdj ?? 0,
  });
}

/** Variables of `over` after those of `base` that it does not name; a PATH is added when there is none. */
export function mergeEnv(base: readonly string[], over: readonly string[]): string[] {
  const merged = new Map<string, string>();
  for (const variable of [...base, ...over]) merged.set(variable.slice(0, variable.indexOf("=")), variable);
  if (!merged.has("PATH")) merged.set("PATH", DEFAULT_PATH);
  return [...merged.values()];
}

/** The signal that asks the container of an image to end: the image's own, else SIGTERM. */
export const stopSignalOf = (image: ImageConfig): number => parseSignal(image.stopSignal) ?? SIGTERM;
