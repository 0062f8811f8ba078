import { invalidField } from "@paddock/domain";
import type { agentpb, ProcessSpec } from "@paddock/protocol";
import { agentProcess, mergeEnv, type ProcessBasics } from "./init-process.ts";

const DEFAULT_TERM = "TERM=xterm";

/**
 * The process of an exec. Like `docker exec`, it inherits the environment, the working directory and the user of its
 * container's init, unless its own spec sets them; the command is its own. Throws INVALID_FIELD without a command.
 */
export function execProcess(spec: ProcessSpec, init: ProcessBasics): agentpb.Process {
  if (spec.args.length === 0)
    throw invalidField("start.process.args", "must have at least one item", "an exec needs a command");
  return agentProcess(spec, {
    args: spec.args,
    env: mergeEnv(spec.terminal ? mergeEnv([DEFAULT_TERM], init.env) : init.env, spec.env),
    cwd: spec.cwd || init.cwd,
    user: spec.user || init.user,
  });
}
