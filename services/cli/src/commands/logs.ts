import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type LogQuery, readLogs } from "@paddock/client";
import { OutputStream, type ReadLogsResponse, ReadLogsResponseSchema } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { findContainer } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { toJsonLine } from "../output/json.ts";
import { LineStamper } from "../output/line-stamper.ts";
import { parseTime } from "../output/quantities.ts";

type LogsOptions = {
  readonly follow?: boolean;
  readonly tail?: string;
  readonly since?: string;
  readonly until?: string;
  readonly timestamps?: boolean;
  readonly stream?: string;
};

export const logsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("logs", "show the output of a container, even after its end", [
    "logs web",
    "logs -f --tail 20 -t web",
    "logs --since 10m --stream stderr web/main",
  ])
    .argument("<target>", "SANDBOX or SANDBOX/CONTAINER")
    .option("-f, --follow", "continue with new output until the container ends")
    .option("-n, --tail <lines>", 'only the last lines; "all" is the default')
    .option("--since <time>", 'only output since this time, such as "10m" (ago) or "2026-01-31T12:00:00Z"')
    .option("--until <time>", "only output before this time")
    .option("-t, --timestamps", "put its time before each line")
    .option("--stream <name>", '"stdout" or "stderr" alone');
  return bind(command, async (run, { args: [target = ""] }) => {
    const options = command.opts<LogsOptions>();
    const query = queryOf(options);
    const { sandboxId, containerId } = await findContainer(run, target);
    const untilMs = options.until === undefined ? undefined : parseTime(options.until, Date.now());
    const records = run.stream({ what: `read the log of "${sandboxId}/${containerId}"` }, (api, options) =>
      readLogs(api, { sandboxId, containerId, ...query }, options),
    );
    await print(run, options, untilMs === undefined ? records : before(untilMs, records));
  });
};

async function* before(
  untilMs: number,
  records: AsyncIterable<ReadLogsResponse>,
): AsyncGenerator<ReadLogsResponse> {
  for await (const record of records) {
    if (record.time && timestampMs(record.time) >= untilMs) return;
    yield record;
  }
}

async function print(
  run: CommandRun,
  options: LogsOptions,
  records: AsyncIterable<ReadLogsResponse>,
): Promise<void> {
  const { stdout, stderr } = run.around;
  const stampers = { out: new LineStamper(), err: new LineStamper() };
  for await (const record of records) {
    if (run.isJson) {
      await run.write(toJsonLine(ReadLogsResponseSchema, record));
      continue;
    }
    const isError = record.stream === OutputStream.STDERR;
    const stamper = isError ? stampers.err : stampers.out;
    const time = record.time ? new Date(timestampMs(record.time)) : undefined;
    await run.write(
      options.timestamps && time ? stamper.stamp(record.data, time) : record.data,
      isError ? stderr : stdout,
    );
  }
}

function queryOf(options: LogsOptions): Pick<LogQuery, "follow" | "streams" | "tailLines" | "since"> {
  const streams = { stdout: OutputStream.STDOUT, stderr: OutputStream.STDERR };
  const { stream, tail, since, follow } = options;
  if (stream !== undefined && stream !== "stdout" && stream !== "stderr") {
    throw usageError(`"${stream}" is not a stream`, 'write "stdout" or "stderr"');
  }
  const lines = tail === "all" ? undefined : tail;
  if (lines !== undefined && !/^\d{1,7}$/.test(lines)) throw usageError(`"${tail}" is not a number of lines`);
  return {
    follow: follow === true,
    streams: stream === undefined ? [] : [streams[stream]],
    ...(lines === undefined ? {} : { tailLines: Number(lines) }),
    ...(since === undefined ? {} : { since: timestampFromMs(parseTime(since, Date.now())) }),
  };
}
