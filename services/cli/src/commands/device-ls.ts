import { toJson } from "@bufbuild/protobuf";
import { DeviceSchema } from "@paddock/protocol";
import { findSandbox, listSandboxes } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { columns } from "../output/columns.ts";
import { DEVICE_HEADING, deviceRow } from "../output/device-text.ts";

export const deviceLsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ls", "list the devices of sandboxes, as SANDBOX/DEVICE with -q", [
    "device ls",
    "device ls web db",
    "device ls -o json",
  ]).argument("[sandbox...]", "only of these");
  return bind(command, async (run, { args }) => {
    const ids: string[] = [];
    if (args.length === 0) for (const { sandboxId } of await listSandboxes(run)) ids.push(sandboxId);
    for (const name of args) ids.push((await findSandbox(run, name)).sandboxId);
    const found = (await Promise.all(ids.map((sandboxId) => devicesOf(run, sandboxId)))).flat();
    if (run.isJson)
      return run.printJson(
        found.map(({ sandboxId, device }) => ({ sandboxId, device: toJson(DeviceSchema, device) })),
      );
    if (run.settings.quiet)
      return run.print(found.map(({ sandboxId, device }) => `${sandboxId}/${device.deviceId}\n`).join(""));
    run.print(
      columns([DEVICE_HEADING, ...found.map(({ sandboxId, device }) => deviceRow(sandboxId, device))]),
    );
  });
};

async function devicesOf(run: CommandRun, sandboxId: string) {
  const what = `list the devices of sandbox "${sandboxId}"`;
  const { devices } = await run.call({ what }, (api, options) =>
    api.sandboxes.listDevices({ sandboxId }, options),
  );
  return devices.map((device) => ({ sandboxId, device }));
}
