/**
 * Bring-up as a list of small steps, each with the undo beside it.
 *
 * A step's undo is written to a journal *before* the step runs: the process may die on any line, and what a step has
 * touched by then is undone at the next start from the journal alone. So an undo takes nothing but what can be found
 * out from its name and the context, and must succeed when there is nothing to undo, or half of it.
 *
 * When a step fails, the undos run in reverse order and the step's error is what the caller gets. An undo that fails
 * is reported and stays in the journal for the sweep; it never hides the error that led to it.
 */
export type Step<Context> = {
  /** Unique in its list; the journal knows it by this name. */
  readonly name: string;
  run(context: Context, signal: AbortSignal): Promise<void>;
  /** Takes back whatever `run` did, be it all, half or nothing. */
  undo(context: Context, signal: AbortSignal): Promise<void>;
};

/** Where undos are noted; durable once a call has returned. */
export type UndoJournal = {
  /** Notes that the step may have been run. */
  add(step: string): void;
  /** Notes that nothing of the step is left. */
  remove(step: string): void;
};

export type StepOptions = {
  readonly journal: UndoJournal;
  /** Ends a run; undos do not heed it, they have `undoTimeoutMs` each. */
  readonly signal: AbortSignal;
  readonly undoTimeoutMs: number;
  /** Told of each undo that failed. */
  readonly onUndoFailed: (step: string, error: unknown) => void;
  /** Told of each step that was run. */
  readonly onStep?: (step: string, durationMs: number) => void;
};

/**
 * Runs the steps in order. On failure undoes those that were begun and throws the step's error.
 * On success the journal still has every step: the caller removes them in the transaction that records the outcome.
 */
export async function runSteps<Context>(
  steps: readonly Step<Context>[],
  context: Context,
  options: StepOptions,
): Promise<void> {
  const begun: Step<Context>[] = [];
  try {
    for (const step of steps) {
      options.signal.throwIfAborted();
      options.journal.add(step.name);
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

/**
 * Undoes the steps, the last first, each whatever became of the one before. Returns the names of those whose undo
 * failed; these stay in the journal.
 */
export async function undoSteps<Context>(
  steps: readonly Step<Context>[],
  context: Context,
  options: Pick<StepOptions, "journal" | "undoTimeoutMs" | "onUndoFailed">,
): Promise<string[]> {
  const failed: string[] = [];
  for (const step of steps.toReversed()) {
    try {
      await step.undo(context, AbortSignal.timeout(options.undoTimeoutMs));
      options.journal.remove(step.name);
    } catch (error) {
      failed.push(step.name);
      options.onUndoFailed(step.name, error);
    }
  }
  return failed;
}
