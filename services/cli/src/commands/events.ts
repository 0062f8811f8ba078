import { parseSandboxId } from "@paddock/domain";
import { WatchResponseSchema } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { watchEvents } from "../client/watch-events.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { eventLine } from "../output/event-text.ts";
import { toJsonLine } from "../output/json.ts";
import { printable } from "../output/printable.ts";

type EventsOptions = { readonly follow?: boolean; readonly sinceToken?: string; readonly sandbox?: string };

export const eventsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("events", "show what happens to sandboxes and containers, as it happens", [
    "events",
    "events --sandbox web -o json",
    'events --no-follow --since-token "$TOKEN"',
  ])
    .option("-f, --follow", "go on as events come; the default")
    .option("--no-follow", "end when all there is was shown; of use with --since-token")
    .option("--since-token <token>", "begin behind the response of that resumeToken (see -o json)")
    .option("--sandbox <id>", "of this sandbox alone: its whole id, also of one that is gone or to come");
  return bind(command, async (run) => {
    const options = command.opts<EventsOptions>();
    const query = { resumeToken: options.sinceToken ?? "", sandboxId: sandboxOf(options) };
    for await (const response of watchEvents(run, query)) {
      const { event } = response;
      if (run.isJson) await run.write(toJsonLine(WatchResponseSchema, response));
      else if (event !== undefined) await run.write(eventLine(event));
      if (event === undefined && options.follow === false) return;
    }
  });
};

function sandboxOf({ sandbox = "" }: EventsOptions): string {
  if (sandbox !== "" && parseSandboxId(sandbox) === undefined)
    throw usageError(`"${printable(sandbox)}" is not the id of a sandbox`, "see paddock ps -a");
  return sandbox;
}
