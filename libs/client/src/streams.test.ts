import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { EventService, OutputStream, ProcessService, type ReadLogsRequest } from "@paddock/protocol";
import { readLogs } from "./read-logs.ts";
import { resumedStream } from "./resumed-stream.ts";
import { SERVED } from "./testing/served-client.ts";
import { watchEvents } from "./watch-events.ts";

const never = () => new Promise<never>(() => {});
const event = (sequence: number) => ({ resumeToken: `t${sequence}`, event: { eventId: `e${sequence}` } });
const record = (seconds: number, offset: number, text: string, stream = OutputStream.STDOUT) => ({
  time: { seconds: BigInt(seconds), nanos: 0 },
  stream,
  offset: BigInt(offset),
  data: Buffer.from(text),
});

for (const [place, serve] of Object.entries(SERVED)) {
  describe(`a stream ${place}`, () => {
    test("of events is resumed after the last response, whether a connection is cut or the stream ends", async () => {
      await using served = await serve();
      const asked: string[] = [];
      const last = 12;
      served.api.serverStream(EventService.method.watch, async function* ({ resumeToken }) {
        asked.push(resumeToken);
        for (let next = Number(resumeToken.slice(1)) + 1; next <= last; next += 1) {
          yield event(next);
          if (next === 7) await never();
          if (next % 5 === 0) return;
        }
        await never();
      });
      const seen: string[] = [];
      let lost = 0;
      const events = watchEvents(
        served.client,
        { resumeToken: "t0", sandboxId: "" },
        { onLost: () => lost++ },
      );
      for await (const { resumeToken } of events) {
        seen.push(resumeToken);
        if (resumeToken === "t7") served.api.cut();
        if (resumeToken === `t${last}`) break;
      }
      assert.deepEqual(
        seen,
        Array.from({ length: last }, (_, index) => `t${index + 1}`),
      );
      assert.deepEqual([asked, lost], [["t0", "t5", "t7", "t10"], 3]);
    });

    test("of events without a token is not resumed", async () => {
      await using served = await serve();
      served.api.serverStream(EventService.method.watch, async function* () {
        yield* [];
        throw new PaddockError("BUS_UNAVAILABLE", "not now");
      });
      const events = watchEvents(served.client, { resumeToken: "", sandboxId: "" });
      await assert.rejects(events.next(), { reason: "BUS_UNAVAILABLE" });
    });

    test("of a followed log is resumed where it broke, without gaps and repeats", async () => {
      await using served = await serve();
      const asked: ReadLogsRequest[] = [];
      served.api.serverStream(ProcessService.method.readLogs, async function* (request) {
        asked.push(request);
        if (asked.length === 1) {
          yield record(1, 0, "old\n");
          yield record(2, 4, "half");
          yield record(3, 0, "err 1\n", OutputStream.STDERR);
          await never();
        }
        yield record(2, 4, "half a line\n");
        yield record(3, 0, "err 1\n", OutputStream.STDERR);
        yield record(4, 16, "new\n");
      });
      const text = { [OutputStream.STDOUT]: "", [OutputStream.STDERR]: "", [OutputStream.UNSPECIFIED]: "" };
      const query = { sandboxId: "web", containerId: "main", follow: true, tailLines: 2 };
      for await (const { stream, data } of readLogs(served.client, query)) {
        text[stream] += Buffer.from(data).toString();
        if (text[OutputStream.STDERR] === "err 1\n" && asked.length === 1) served.api.cut();
      }
      assert.deepEqual(
        [text[OutputStream.STDOUT], text[OutputStream.STDERR]],
        ["old\nhalf a line\nnew\n", "err 1\n"],
      );
      assert.equal(asked[1]?.since?.seconds, 2n);
      assert.equal(asked[1]?.tailLines, undefined);
    });

    test("of a log that is not followed is not resumed", async () => {
      await using served = await serve();
      served.api.serverStream(ProcessService.method.readLogs, async function* () {
        yield record(1, 0, "old\n");
        await never();
      });
      const query = { sandboxId: "web", containerId: "main" };
      await assert.rejects(
        async () => {
          for await (const _ of readLogs(served.client, query)) served.api.cut();
        },
        { kind: "unavailable" },
      );
    });
  });
}

test("a stream is cancelled when its reader leaves the loop", async () => {
  let signal: AbortSignal | undefined;
  const open = async function* (call: { readonly signal?: AbortSignal }) {
    signal = call.signal;
    yield 1;
    await never();
  };
  for await (const _ of resumedStream({ open, canResume: () => true }, {})) break;
  assert.equal(signal?.aborted, true);
});
