import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { parseSandboxId } from "@paddock/domain";
import { type WatchResponse, WatchResponseSchema } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { type EventQuery, watchEvents } from "../client/watch-events.ts";
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
  const command = describedCommand("events", "show what happens to sandboxes and containers, as it happens", [
    "events",
    "events --since 10m --sandbox web -o json",
    "events --no-follow",
    "events --since 2026-01-31T12:00:00Z --until 2026-01-31T13:00:00Z",
    'events --no-follow --since-token "$TOKEN"',
  ])
    .option("-f, --follow", "go on as events come; the default")
    .option("--no-follow", "end when all there is was shown: all that is kept, unless --since says less")
    .option(
      "--since <time>",
      'begin there, such as "10m" (ago) or "2026-01-31T12:00:00Z"; a token is taken, too',
    )
    .option("--until <time>", "end there")
    .option("--since-token <token>", "begin behind the response of that resumeToken (see -o json)")
    .option("--sandbox <id>", "of this sandbox alone: its whole id, also of one that is gone or to come");
  return bind(command, async (run) => {
    const nowMs = Date.now();
    const options = command.opts<EventsOptions>();
    const untilMs = options.until === undefined ? undefined : parseTime(options.until, nowMs);
    const events = watchEvents(run, queryOf(options, nowMs));
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
    // The time that --until names has come.
    if (run.signal.reason !== UNTIL) throw error;
  }
}

const UNTIL = new Error("the events were to end here");
/** What a timer can wait. */
const LONGEST_MS = 2 ** 31 - 1;

/** Ends the watch at a time to come, also when nothing happens. */
function endAt(run: CommandRun, timeMs: number): Disposable {
  const leftMs = timeMs - Date.now();
  const timer =
    leftMs > 0 && leftMs <= LONGEST_MS ? setTimeout(() => run.endCalls(UNTIL), leftMs) : undefined;
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** As long as there are events they are kept for a day: the beginning of time is all there is. */
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

/** A token is base64; no time is that long without a colon. */
const isToken = (text: string): boolean => /^[A-Za-z0-9_-]{25,}$/.test(text);

function sandboxOf({ sandbox = "" }: EventsOptions): string {
  if (sandbox !== "" && parseSandboxId(sandbox) === undefined)
    throw usageError(`"${printable(sandbox)}" is not the id of a sandbox`, "see paddock ps -a");
  return sandbox;
}
