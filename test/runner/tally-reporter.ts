import type { TestEvent } from "node:test/reporters";

/** A reporter that writes one line when a run ends: tests, passed, failed and not really run. */
export default async function* tallyReporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let failed = 0;
  for await (const { type, data } of events) {
    if (type === "test:fail" && data.details.type !== "suite") failed += 1;
    if (type !== "test:summary" || data.file !== undefined) continue;
    const { tests, passed, cancelled, skipped, todo } = data.counts;
    yield `${tests} ${passed} ${Math.max(failed, tests - passed - skipped - todo)} ${cancelled + skipped + todo}\n`;
  }
}
