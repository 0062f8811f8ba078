/** The init process of a container: the client's settings, and the image's where the client has none. Pure. */
import { create } from "@bufbuild/protobuf";
import { invalidField, type PaddockError, parseSignal } from "@paddock/domain";
import type { ImageConfig } from "@paddock/images";
import { agentpb, type ContainerSpec, type ProcessSpec } from "@paddock/protocol";

const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SIGTERM = 15;

/** The parts of a container's spec that decide how its init process runs. */
export type InitSpec = Pick<ContainerSpec, "containerId" | "process" | "entrypoint" | "args">;

/**
 * Merges a container's process with its image. The command follows the documentation of `ContainerSpec`; the client's variables
 * are added to the image's, and replace those of the same name; other values replace the image's when set. Throws INVALID_FIELD
 * when there is no command, or it is given in two ways.
 */
export function initProcess(spec: InitSpec, image: ImageConfig): agentpb.Process {
  const { process } = spec;
  return agentProcess(process, {
    args: commandOf(spec, image),
    env: mergeEnv(image.env, process?.env ?? []),
    cwd: process?.cwd || image.workingDir || "/",
    user: process?.user || image.user,
  });
}

function commandOf(spec: InitSpec, image: ImageConfig): string[] {
  const whole = spec.process?.args ?? [];
  if (whole.length > 0) {
    if (spec.entrypoint !== undefined || spec.args.length > 0) throw mixed(spec);
    return whole;
  }
  const entrypoint = spec.entrypoint?.words ?? image.entrypoint;
  const defaultArgs = spec.entrypoint === undefined ? image.cmd : [];
  const command = [...entrypoint, ...(spec.args.length > 0 ? spec.args : defaultArgs)];
  if (command.length === 0) throw nothingToRun(spec);
  return command;
}

const mixed = ({ containerId }: InitSpec): PaddockError =>
  invalidField(
    "spec.process.args",
    "is the whole command line, and excludes spec.entrypoint and spec.args",
    `container ${containerId} has its command in two ways`,
  );

function nothingToRun({ containerId, entrypoint }: InitSpec): PaddockError {
  const why =
    entrypoint === undefined
      ? `container ${containerId} has no command, and neither has its image`
      : `container ${containerId} has no command: its entrypoint was cleared, and the image's command with it`;
  return invalidField("spec.args", "must be set, or spec.entrypoint, because there is no command", why);
}

/** The parts of a process that an image may decide. */
export type ProcessBasics = Pick<agentpb.Process, "args" | "env" | "cwd" | "user">;

/** The agent's process message, from a client's spec and merged basics. */
export function agentProcess(spec: ProcessSpec | undefined, basics: ProcessBasics): agentpb.Process {
  const { capabilities, output, ttySize } = spec ?? {};
  return create(agentpb.ProcessSchema, {
    ...basics,
    additionalGroups: spec?.additionalGroups ?? [],
    capabilities: capabilities?.names ?? [],
    defaultCapabilities: capabilities === undefined,
    noNewPrivileges: spec?.noNewPrivileges ?? false,
    seccompUnconfined: spec?.seccompUnconfined ?? false,
    // -1 is the kernel's RLIM_INFINITY, as an unsigned number.
    rlimits: (spec?.rlimits ?? []).map(({ type, soft, hard }) => ({
      type,
      soft: BigInt.asUintN(64, soft),
      hard: BigInt.asUintN(64, hard),
    })),
    terminal: spec?.terminal ?? false,
    ...(ttySize && { ttySize: { rows: ttySize.rows, columns: ttySize.columns } }),
    stdin: spec?.stdin ?? false,
    ringBytes: output?.ringBytes ?? 0,
    overflow: output?.dropOldest ? agentpb.OverflowPolicy.DROP_OLDEST : agentpb.OverflowPolicy.BLOCK,
    oomScoreAdj: spec?.oomScoreAdj ?? 0,
  });
}

/** The variables of `base` that `over` does not set, then those of `over`; a PATH is added when there is none. */
export function mergeEnv(base: readonly string[], over: readonly string[]): string[] {
  const merged = new Map<string, string>();
  for (const variable of [...base, ...over]) merged.set(variable.slice(0, variable.indexOf("=")), variable);
  if (!merged.has("PATH")) merged.set("PATH", DEFAULT_PATH);
  return [...merged.values()];
}

/** The signal that asks an image's container to end: the image's stop signal, or SIGTERM. */
export const stopSignalOf = (image: ImageConfig): number => parseSignal(image.stopSignal) ?? SIGTERM;
