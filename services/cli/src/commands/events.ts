import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type EventQuery, watchEvents } from "@paddock/client";
import { parseSandboxId } from "@paddock/domain";
import { type WatchResponse, WatchResponseSchema } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { eventLine } from "../output/event-text.ts";
import { toJsonLine } from "../output/json.ts";
import { printable } from "../output/printable.ts";
import { parseTime } from "../output/quantities.ts";

type EventsOptions = {
  readonly follow?: boolean;
  readonly since?: string;
  readonly sinceToken?: string;
  readonly until?: string;
  readonly sandbox?: string;
};

export const eventsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("events", "show events of sandboxes and containers as they happen", [
    "events",
    "events --since 10m --sandbox web -o json",
    "events --no-follow",
    "events --since 2026-01-31T12:00:00Z --until 2026-01-31T13:00:00Z",
    'events --no-follow --since-token "$TOKEN"',
  ])
    .option("-f, --follow", "continue with new events (the default)")
    .option("--no-follow", "stop after past events: all that are kept, or those since --since")
    .option("--since <time>", 'first event, such as "10m" (ago) or "2026-01-31T12:00:00Z"; may be a token')
    .option("--until <time>", "end there")
    .option("--since-token <token>", "continue after the response with this resumeToken (see -o json)")
    .option("--sandbox <id>", "only this sandbox: its full id, even if it is deleted or does not exist yet");
  return bind(command, async (run) => {
    const nowMs = Date.now();
    const options = command.opts<EventsOptions>();
    const untilMs = options.until === undefined ? undefined : parseTime(options.until, nowMs);
    const query = queryOf(options, nowMs);
    const events = run.stream({ what: "watch the events" }, (api, call) => watchEvents(api, query, call));
    if (untilMs === undefined) return show(run, events, options.follow === false);
    using _end = endAt(run, untilMs);
    await show(run, events, options.follow === false || untilMs <= nowMs, untilMs);
  });
};

async function show(
  run: CommandRun,
  responses: AsyncIterable<WatchResponse>,
  isBounded: boolean,
  untilMs = Number.POSITIVE_INFINITY,
): Promise<void> {
  try {
    for await (const response of responses) {
      const { event } = response;
      if (event?.time && timestampMs(event.time) > untilMs) return;
      if (run.isJson) await run.write(toJsonLine(WatchResponseSchema, response));
      else if (event !== undefined) await run.write(eventLine(event));
      if (event === undefined && isBounded) return;
    }
  } catch (error) {
    // The time of --until has been reached.
    if (run.signal.reason !== UNTIL) throw error;
  }
}

const UNTIL = new Error("the time of --until has been reached");
/** The longest delay of a timer. */
const LONGEST_MS = 2 ** 31 - 1;

/** Ends the watch at a future time, even if nothing happens. */
function endAt(run: CommandRun, timeMs: number): Disposable {
  const leftMs = timeMs - Date.now();
  const timer =
    leftMs > 0 && leftMs <= LONGEST_MS ? setTimeout(() => run.endCalls(UNTIL), leftMs) : undefined;
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** All events that are kept: the api starts with the oldest one. */
function queryOf(options: EventsOptions, nowMs: number): EventQuery {
  const { since, sinceToken, follow } = options;
  const sandboxId = sandboxOf(options);
  if (since !== undefined && sinceToken !== undefined)
    throw usageError("--since and --since-token exclude each other", "give one of them");
  const token = sinceToken ?? (since !== undefined && isToken(since) ? since : undefined);
  if (token !== undefined) return { resumeToken: token, sandboxId };
  const isAll = follow === false || options.until !== undefined;
  const sinceMs = since !== undefined ? parseTime(since, nowMs) : isAll ? 0 : undefined;
  return {
    resumeToken: "",
    sandboxId,
    since: sinceMs === undefined ? undefined : timestampFromMs(sinceMs),
  };
}

/** A token is base64. No time is that long without a colon. */
const isToken = (text: string): boolean => /^[A-Za-z0-9_-]{25,}$/.test(text);

function sandboxOf({ sandbox = "" }: EventsOptions): string {
  if (sandbox !== "" && parseSandboxId(sandbox) === undefined)
    throw usageError(`"${printable(sandbox)}" is not the id of a sandbox`, "see paddock ps -a");
  return sandbox;
}
