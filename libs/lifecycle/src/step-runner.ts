/**
 * Bring-up as a list of small steps, each with its undo beside it.
 *
 * The process may die on any line. So before the first step the caller notes durably that the operation is in progress, and the
 * transaction that records the outcome removes the note. After a crash, all steps of a noted operation are undone. An undo uses
 * only what follows from the note, and succeeds when the step ran partly or not at all.
 *
 * When a step fails, the undos run in reverse order and the caller gets the step's error. A failing undo is reported, so that
 * the caller keeps the note; it never hides the error that led to it.
 */
export type Step<Context> = {
  /** Unique in its list. */
  readonly name: string;
  run(context: Context, signal: AbortSignal): Promise<void>;
  /** Undoes `run`, whether it ran completely, partly or not at all. Absent when the undo of an earlier step covers it. */
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

/** Runs the steps in order. On failure, undoes the steps that were begun and throws the step's error. */
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

/** Undoes the steps in reverse order and continues after a failure. Returns whether all undos succeeded. */
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
