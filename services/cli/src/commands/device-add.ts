import { AddDeviceResponseSchema } from "@paddock/protocol";
import { CliError, usageError } from "../cli-error.ts";
import { newId } from "../client/generated-id.ts";
import { findContainer, findSandbox, parseReference } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { columns } from "../output/columns.ts";
import { DEVICE_HEADING, deviceRow } from "../output/device-text.ts";
import { toJsonText } from "../output/json.ts";
import { printable } from "../output/printable.ts";

type DeviceOptions = {
  readonly gid?: string;
  readonly guestOnly?: boolean;
  readonly id?: string;
  readonly mode?: string;
  readonly path?: string;
  readonly readOnly?: boolean;
  readonly uid?: string;
};

const MAX_ID = 2 ** 32 - 1;

export const deviceAddCommand: CommandDefinition = (bind) => {
  const command = describedCommand("add", "attach a block device or a raw image file of the node", [
    "device add web /srv/images/data.img",
    "device add web/main /dev/sdb --path /dev/data --mode 0600 --read-only",
    "device add web /dev/sdb --guest-only",
  ])
    .argument("<container>", "SANDBOX, or SANDBOX/CONTAINER")
    .argument("<file>", "path on the node, below one of its PADDOCK_DEVICE_DIRECTORIES")
    .option("--gid <number>", "group of the device file (default: 0)")
    .option("--guest-only", "attach it to the sandbox's VM and show it in no container")
    .option("--id <id>", "id of the device (default: a generated one)")
    .option("--mode <octal>", "permission bits of the device file (default: 0660)")
    .option("--path <path>", "path in the container (default: /dev/ and the id)")
    .option("--read-only", "nobody in the sandbox can write to it")
    .option("--uid <number>", "owner of the device file (default: 0)");
  return bind(command, async (run, { args: [target = "", path = ""] }) => {
    const options = command.opts<DeviceOptions>();
    const { sandboxId, containerId } = await place(run, target, options.guestOnly === true);
    const device = {
      deviceId: options.id ?? newId(),
      source: { case: "hostDevice" as const, value: { path, readOnly: options.readOnly === true } },
      containerId,
      containerPath: options.path ?? "",
      mode: octal(options.mode),
      uid: idOf("--uid", options.uid),
      gid: idOf("--gid", options.gid),
    };
    const response = await run.change(
      {
        what: `add a device to sandbox "${sandboxId}"`,
        doing: `adding a device to sandbox ${sandboxId}`,
        done: () => `added a device to sandbox ${sandboxId}`,
      },
      (api, requestId, call) => api.sandboxes.addDevice({ requestId, sandboxId, device }, call),
    );
    if (run.isJson) return run.print(toJsonText(AddDeviceResponseSchema, response));
    const added = response.device;
    if (!added) throw new CliError(`the api answered without the device of sandbox "${sandboxId}"`);
    if (run.settings.quiet) return run.print(`${sandboxId}/${added.deviceId}\n`);
    run.print(columns([DEVICE_HEADING, deviceRow(sandboxId, added)]));
  });
};

async function place(run: CommandRun, target: string, isGuestOnly: boolean) {
  if (!isGuestOnly) return await findContainer(run, target);
  const { sandbox, container } = parseReference(target);
  if (container !== undefined) throw usageError("--guest-only is about no container", "write SANDBOX alone");
  const { sandboxId } = await findSandbox(run, sandbox);
  return { sandboxId, containerId: "" };
}

function octal(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^0?[0-7]{3}$/.test(text))
    throw usageError(`--mode: "${printable(text)}" is not a mode`, "write such as 0660");
  return Number.parseInt(text, 8);
}

function idOf(option: string, text: string | undefined): number {
  const id = Number(text ?? "0");
  if (!/^\d{1,10}$/.test(text ?? "0") || id > MAX_ID)
    throw usageError(
      `${option}: "${printable(text ?? "")}" is not a number of a user or group`,
      `0 to ${MAX_ID}`,
    );
  return id;
}
