/**
 * Bring-up as a list of small steps, each with the undo beside it.
 *
 * The process may die on any line. So the caller notes, durably and before the first step, that the operation is under way, and
 * the note ends in the transaction that records the outcome. After a crash all steps of a noted operation are undone: an
 * undo takes nothing but what can be found out from the note, and succeeds when there is nothing to undo, or half of it.
 *
 * When a step fails, the undos run in reverse order and the step's error is what the caller gets. An undo that fails
 * is reported, so that the caller keeps the note; it never hides the error that led to it.
 */
export type Step<Context> = {
  /** Unique in its list. */
  readonly name: string;
  run(context: Context, signal: AbortSignal): Promise<void>;
  /** Takes back whatever `run` did, be it all, half or nothing. Absent when the undo of an earlier step takes it along. */
  undo?(context: Context, signal: AbortSignal): Promise<void>;
};

export type UndoOptions = {
  readonly undoTimeoutMs: number;
  /** Called with each undo that fails. */
  readonly onUndoFailed: (step: string, error: unknown) => void;
};

export type StepOptions = UndoOptions & {
  /** Ends a run. Undos ignore it; each has `undoTimeoutMs`. */
  readonly signal: AbortSignal;
  /** Called with each step that has run. */
  readonly onStep?: (step: string, durationMs: number) => void;
};

/** Runs the steps in order. On failure undoes those that were begun and throws the step's error. */
export async function runSteps<Context>(
  steps: readonly Step<Context>[],
  context: Context,
  options: StepOptions,
): Promise<void> {
  const begun: Step<Context>[] = [];
  try {
    for (const step of steps) {
      options.signal.throwIfAborted();
      begun.push(step);
      const start = performance.now();
      await step.run(context, options.signal);
      options.onStep?.(step.name, performance.now() - start);
    }
  } catch (error) {
    await undoSteps(begun, context, options);
    throw error;
  }
}

/** Undoes the steps, the last first, each whatever became of the one before. Returns whether nothing of them is left. */
export async function undoSteps<Context>(
  steps: readonly Step<Context>[],
  context: Context,
  { undoTimeoutMs, onUndoFailed }: UndoOptions,
): Promise<boolean> {
  let isClean = true;
  for (const step of steps.toReversed()) {
    try {
      await step.undo?.(context, AbortSignal.timeout(undoTimeoutMs));
    } catch (error) {
      isClean = false;
      onUndoFailed(step.name, error);
    }
  }
  return isClean;
}
