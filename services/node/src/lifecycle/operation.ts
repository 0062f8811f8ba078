/**
 * Operations: changes of a sandbox in steps, all or none.
 *
 * An operation is noted in the record before its first step: `creating` and `stopped` are the notes of a creation and a boot,
 * other operations are in `operations`. The note ends in the update that records the outcome. So after a crash the record says
 * what to undo, and the context of the undo is built from the record alone.
 */
import { runSteps, type Step, undoSteps } from "@paddock/lifecycle";
import type { NodeContext } from "../node-context.ts";
import {
  type Operation as Note,
  type SandboxRecord,
  withOperation,
  withoutOperation,
} from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";

const UNDO_TIMEOUT_MS = 20_000;

/** Input of every operation. */
export type Work = { readonly node: NodeContext; readonly entry: SandboxEntry };

type Definition<Context extends Work> = {
  /** Shown in the log. */
  readonly name: string;
  readonly steps: (node: NodeContext) => readonly Step<Context>[];
  /**
   * Builds the context of an undo from the record, for a later daemon; undefined when there is nothing to undo. An operation
   * that is noted by a phase of the sandbox has none.
   */
  readonly recovered?: (work: Work, note: Note) => Context | undefined;
};

export type RunOptions = {
  readonly signal: AbortSignal;
  /** Added to the record before the first step; undefined when the phase is the note. */
  readonly note?: Note;
  /** The record after success. */
  readonly done: (record: SandboxRecord) => SandboxRecord;
};

export type Operation<Context extends Work> = {
  /** Runs the steps and records the outcome. On failure, undoes all steps and throws. Needs the lock. */
  run(context: Context, options: RunOptions): Promise<void>;
  /** Undoes an operation that an earlier daemon left or could not undo. Needs the lock. */
  undo(work: Work, note: Note): Promise<void>;
};

export function operation<Context extends Work>({
  name,
  steps,
  recovered,
}: Definition<Context>): Operation<Context> {
  return {
    async run(context, { signal, note, done }) {
      const { node, entry } = context;
      const undoing = undoOptions(context, name);
      const record: Step<Context> = {
        name: "record",
        run: async () =>
          void entry.update((before) => done(note === undefined ? before : withoutOperation(before, note))),
      };
      if (note !== undefined) entry.note((before) => withOperation(before, note));
      try {
        await runSteps([...steps(node), record], context, {
          ...undoing.options,
          signal,
          onStep: (step, durationMs) =>
            entry.log.debug({ step, durationMs: Math.round(durationMs) }, "step done"),
        });
      } catch (error) {
        if (undoing.failed.length === 0) forgetNote(context, note);
        throw error;
      }
    },
    async undo(work, note) {
      const context = recovered?.(work, note);
      const isClean =
        context === undefined ||
        (await undoSteps(steps(work.node), context, undoOptions(work, name).options));
      if (isClean) forgetNote(work, note);
    },
  };
}

/** A note that cannot be removed is harmless: the undo at the next start finds nothing to do. */
function forgetNote({ entry }: Work, note: Note | undefined): void {
  if (note === undefined) return;
  try {
    entry.note((before) => withoutOperation(before, note));
  } catch (error) {
    entry.log.error({ operation: note.kind, err: error }, "the end of an operation could not be recorded");
  }
}

function undoOptions({ entry }: Work, name: string) {
  const failed: string[] = [];
  const options = {
    undoTimeoutMs: UNDO_TIMEOUT_MS,
    onUndoFailed: (step: string, error: unknown) => {
      failed.push(step);
      entry.log.error({ operation: name, step, err: error }, "an undo failed; the next start tries again");
    },
  };
  return { failed, options };
}
