import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { ContainerStatusSchema, MountSpecSchema, SandboxSchema } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import { findContainer, findSandbox, parseReference } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";

export const inspectCommand: CommandDefinition = (bind) => {
  const command = describedCommand("inspect", "show sandboxes or containers in full, as JSON", [
    "inspect web",
    "inspect web/main | jq '.[0].exitStatus'",
  ]).argument("<target...>", "SANDBOX or SANDBOX/CONTAINER");
  return bind(command, async (run, { args }) => {
    for (const text of args) parseReference(text);
    const found: JsonValue[] = [];
    for (const text of args) {
      try {
        found.push(await inspected(run, text));
      } catch (error) {
        // The others are still shown.
        if (!(error instanceof CliError) || run.interruptedBy !== undefined) throw error;
        run.report(error);
      }
    }
    run.printJson(found);
  });
};

async function inspected(run: CommandRun, text: string): Promise<JsonValue> {
  if (parseReference(text).container !== undefined) return inspectedContainer(run, text);
  const { sandboxId } = await findSandbox(run, text);
  const { sandbox } = await run.call({ what: `inspect sandbox "${sandboxId}"` }, (api, options) =>
    api.sandboxes.getSandbox({ sandboxId }, options),
  );
  if (!sandbox) throw new CliError(`cannot inspect sandbox "${sandboxId}": the api answered without it`);
  return toJson(SandboxSchema, sandbox);
}

/** The status of a container and, as in docker, its mounts. */
async function inspectedContainer(run: CommandRun, text: string): Promise<JsonValue> {
  const { sandboxId, containerId, container } = await findContainer(run, text);
  const what = `inspect container "${sandboxId}/${containerId}"`;
  const answer = await run.call({ what }, (api, options) =>
    api.containers.getContainer({ sandboxId, containerId }, options),
  );
  const status = toJson(ContainerStatusSchema, answer.container?.status ?? container);
  const mounts = (answer.container?.spec?.mounts ?? []).map((mount) => toJson(MountSpecSchema, mount));
  return typeof status === "object" && status !== null && !Array.isArray(status)
    ? { ...status, mounts }
    : status;
}
