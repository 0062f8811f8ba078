/** Events over as many streams as it takes: one that broke is asked for again from the token of its last response. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { PaddockError } from "@paddock/domain";
import type { WatchResponse } from "@paddock/protocol";
import type { CommandRun } from "../command-run.ts";
import { isTransient } from "./call-failure.ts";
import { backoffMs, sleep } from "./retry.ts";

const ATTEMPTS = 10;

export type EventQuery = {
  readonly resumeToken: string;
  readonly sandboxId: string;
  /** Where to begin without a token; now when it is not given. */
  readonly since?: Timestamp | undefined;
};

export async function* watchEvents(run: CommandRun, query: EventQuery): AsyncGenerator<WatchResponse> {
  const { since, ...rest } = query;
  let { resumeToken } = query;
  for (let attempt = 0; ; ) {
    try {
      const options = run.callOptions({ isOpenEnded: true });
      for await (const response of run.api.events.watch(
        { ...rest, resumeToken, ...(since && { since }) },
        options,
      )) {
        attempt = 0;
        yield response;
        resumeToken = response.resumeToken;
      }
      throw new PaddockError("UNAVAILABLE", "the stream of events ended, which it never does by itself");
    } catch (error) {
      const isWorthIt =
        resumeToken !== "" &&
        error instanceof PaddockError &&
        isTransient(error) &&
        !run.signal.aborted &&
        attempt < ATTEMPTS;
      if (!isWorthIt) throw run.explain(error, { what: "watch the events" });
      if (attempt === 0) run.warn("connection lost, trying to take it up again");
      await sleep(backoffMs(attempt), run.signal);
      attempt += 1;
    }
  }
}
