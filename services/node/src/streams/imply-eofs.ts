import { settlesWithin } from "@paddock/lifecycle";
import type { ProcessOutput } from "@paddock/protocol";

/** How long an end of a stream waits for the process's exit, in ms. Most processes end both at the same time. */
const PATIENCE_MS = 5;

/**
 * The same outputs, without the ends of streams directly before `exited`, which implies them. They are half of the messages of
 * a short command, and take time at each hop: a tenth of an exec of `true`.
 */
export async function* implyEofs(outputs: AsyncIterable<ProcessOutput>): AsyncGenerator<ProcessOutput> {
  const iterator = outputs[Symbol.asyncIterator]();
  let held: ProcessOutput[] = [];
  try {
    for (;;) {
      const pending = iterator.next();
      if (held.length > 0 && !(await settlesWithin(pending, PATIENCE_MS))) {
        yield* held;
        held = [];
      }
      const { done, value } = await pending;
      if (done === true) break;
      if (value.output.case === "eof") {
        held.push(value);
        continue;
      }
      if (value.output.case !== "exited") yield* held;
      held = [];
      yield value;
    }
    yield* held;
  } finally {
    await iterator.return?.();
  }
}
