/**
 * From what a client wants to run to what the guest's agent runs.
 *
 * An init takes what its spec leaves out from the image. An exec takes it from its container: it sees the environment, the
 * working directory and the user that the init was started with, as with `docker exec`.
 */
import { create } from "@bufbuild/protobuf";
import { agentpb, type OutputPolicy, type ProcessSpec } from "@paddock/protocol";

/** Where commands are looked for when neither image nor client says; what Docker uses. */
const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_TERM = "TERM=xterm";

/** What an image says of how to run it, as far as a process needs it. */
export type ProcessDefaults = {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
};

/** How the image's config starts a container. */
export function imageDefaults(image: {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
}): ProcessDefaults {
  return {
    args: [...image.entrypoint, ...image.cmd],
    env: image.env,
    cwd: image.workingDir,
    user: image.user,
  };
}

/** What an exec in a container falls back on: the image's defaults under the container's own spec. */
export function containerDefaults(spec: ProcessSpec | undefined, image: ProcessDefaults): ProcessDefaults {
  if (spec === undefined) return image;
  return {
    args: spec.args.length > 0 ? spec.args : image.args,
    env: mergedEnv(image.env, spec.env),
    cwd: spec.cwd || image.cwd,
    user: spec.user || image.user,
  };
}

/** The agent's process for a spec; what the spec leaves out comes from `defaults`. */
export function agentProcess(spec: ProcessSpec | undefined, defaults: ProcessDefaults): agentpb.Process {
  const { args, env, cwd, user } = containerDefaults(spec, defaults);
  return create(agentpb.ProcessSchema, {
    args: [...args],
    env: mergedEnv(spec?.terminal ? [DEFAULT_PATH, DEFAULT_TERM] : [DEFAULT_PATH], env),
    cwd,
    user,
    additionalGroups: spec?.additionalGroups ?? [],
    capabilities: spec?.capabilities?.names ?? [],
    defaultCapabilities: spec?.capabilities === undefined,
    noNewPrivileges: spec?.noNewPrivileges ?? false,
    seccompUnconfined: spec?.seccompUnconfined ?? false,
    rlimits: (spec?.rlimits ?? []).map(({ type, soft, hard }) => ({ type, soft, hard })),
    terminal: spec?.terminal ?? false,
    ...(spec?.ttySize && { ttySize: { rows: spec.ttySize.rows, columns: spec.ttySize.columns } }),
    stdin: spec?.stdin ?? false,
    ...outputOf(spec?.output),
    oomScoreAdj: spec?.oomScoreAdj ?? 0,
  });
}

/** The agent's process for an exec: the command is the spec's own, an exec without one has none. */
export const agentExecProcess = (spec: ProcessSpec, container: ProcessDefaults): agentpb.Process =>
  agentProcess(spec, { ...container, args: [] });

const outputOf = (policy: OutputPolicy | undefined) => ({
  ringBytes: policy?.ringBytes ?? 0,
  overflow: policy?.dropOldest ? agentpb.OverflowPolicy.DROP_OLDEST : agentpb.OverflowPolicy.BLOCK,
});

/** `own` beside `base`; a name that both have keeps its place and takes the own value. */
function mergedEnv(base: readonly string[], own: readonly string[]): string[] {
  const nameOf = (entry: string) => entry.split("=", 1)[0];
  return [...new Map([...base, ...own].map((entry) => [nameOf(entry), entry])).values()];
}
