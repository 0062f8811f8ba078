import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";

const SLOWEST = 12;

/**
 * A reporter that writes one line when a run ends: the numbers of tests, passed, failed and not really run. The slowest files
 * follow, one per line with its seconds.
 */
export default async function* tallyReporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let failed = 0;
  const files: { readonly path: string; readonly seconds: number }[] = [];
  for await (const { type, data } of events) {
    if (type === "test:fail" && data.details.type !== "suite") failed += 1;
    if (type !== "test:summary") continue;
    if (data.file !== undefined) {
      files.push({ path: relative("", data.file), seconds: data.duration_ms / 1000 });
      continue;
    }
    const { tests, passed, cancelled, skipped, todo } = data.counts;
    yield `${tests} ${passed} ${Math.max(failed, tests - passed - skipped - todo)} ${cancelled + skipped + todo}\n`;
    const slowest = files.sort((one, other) => other.seconds - one.seconds).slice(0, SLOWEST);
    for (const { path, seconds } of slowest) yield `${seconds.toFixed(1)} s ${path}\n`;
  }
}
