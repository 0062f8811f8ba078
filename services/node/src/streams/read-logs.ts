import { create } from "@bufbuild/protobuf";
import {
  OutputStream,
  type ReadLogsRequest,
  type ReadLogsResponse,
  ReadLogsResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { LogStream } from "../logs/log-record.ts";
import { readLog } from "../logs/read-log.ts";
import { timeFromUs, usFromTime } from "../wire/guest-time.ts";
import { STREAMS } from "../wire/process-output.ts";
import { type StreamContext, streamContainer } from "./stream-context.ts";

/** Reads the output of a container's init from the log files. See `paddock.v1.ProcessService.ReadLogs`. */
export async function* readLogs(
  context: StreamContext,
  request: ReadLogsRequest,
  call: CallContext,
): AsyncGenerator<ReadLogsResponse> {
  const { sandbox, container } = streamContainer(context, request, call);
  await using open = await context.logs.open(sandbox, container.containerId);
  const { follow, tailLines, since } = request;
  const pieces = readLog(open.log, {
    streams: streamsOf(request),
    tailLines,
    sinceUs: since === undefined ? undefined : usFromTime(since),
    follow,
    signal: call.signal,
  });
  for await (const { timeUs, stream, offset, data } of pieces) {
    const piece = { time: timeFromUs(timeUs), stream: STREAMS[stream], offset: BigInt(offset), data };
    yield create(ReadLogsResponseSchema, piece);
  }
}

function streamsOf({ streams }: ReadLogsRequest): readonly LogStream[] {
  if (streams.length === 0) return ["stdout", "stderr"];
  return streams.flatMap((stream): LogStream[] => {
    if (stream === OutputStream.STDOUT) return ["stdout"];
    return stream === OutputStream.STDERR ? ["stderr"] : [];
  });
}
