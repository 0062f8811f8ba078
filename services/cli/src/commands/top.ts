import { toJson } from "@bufbuild/protobuf";
import { ListProcessesResponseSchema } from "@paddock/protocol";
import { findContainer } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { columns } from "../output/columns.ts";
import { printable } from "../output/printable.ts";
import { formatBytes } from "../output/quantities.ts";

const HEADING = ["PID", "PPID", "USER", "STATE", "TTY", "TIME", "RSS", "COMMAND"];

export const topCommand: CommandDefinition = (bind) => {
  const command = describedCommand("top", "list the processes of a container", [
    "top web",
    "top web/main -o json",
  ]).argument("<target>", "SANDBOX or SANDBOX/CONTAINER");
  return bind(command, async (run, { args: [target = ""] }) => {
    const { sandboxId, containerId } = await findContainer(run, target);
    const response = await run.call(
      { what: `list the processes of "${sandboxId}/${containerId}"` },
      (api, options) => api.containers.listProcesses({ sandboxId, containerId }, options),
    );
    if (run.isJson) {
      const json = toJson(ListProcessesResponseSchema, response, { alwaysEmitImplicit: true });
      const list = typeof json === "object" && json !== null && "processes" in json ? json.processes : [];
      return run.print(`${JSON.stringify(list, null, 2)}\n`);
    }
    const rows = response.processes.map((p) =>
      [
        String(p.pid),
        String(p.parentPid),
        p.user || String(p.uid),
        p.state,
        p.terminal || "-",
        `${(Number(p.cpuUs) / 1e6).toFixed(2)}s`,
        formatBytes(p.residentBytes),
        p.args.length > 0 ? p.args.join(" ") : `[${p.command}]`,
      ].map(printable),
    );
    run.print(columns([HEADING, ...rows]));
  });
};
