import { CLI_VERSION } from "../cli-version.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { columns } from "../output/columns.ts";
import { printable } from "../output/printable.ts";

export const versionCommand: CommandDefinition = (bind) => {
  const command = describedCommand("version", "show the versions of this program and of the api", [
    "version",
    "version -o json",
  ]);
  return bind(command, async (run) => {
    const client = { version: CLI_VERSION, runtimeVersion: process.version };
    const server = await run.call({ what: "ask the api for its version" }, (api, options) =>
      api.system.getVersion({}, options),
    );
    if (run.isJson) {
      const { version, runtimeVersion, apiVersions } = server;
      return run.printJson({ client, server: { version, runtimeVersion, apiVersions } });
    }
    run.print(
      columns([
        ["", "VERSION", "NODE.JS", "PROTOCOLS"],
        ["client", client.version, client.runtimeVersion, "paddock.v1"],
        ["server", ...[server.version, server.runtimeVersion, server.apiVersions.join(" ")].map(printable)],
      ]),
    );
  });
};
