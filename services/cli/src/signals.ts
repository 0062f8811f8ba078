/**
 * Signals to the command line. The command handles the first: it forwards it, ends its current work, or ends itself. The second
 * ends the command line after a short time for cleaning up, regardless of the api, the process and the reader of stdout. The
 * third ends it at once.
 */
import { constants } from "node:os";
import type { CommandRun, Surroundings } from "./command-run.ts";

const LISTENED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const;
/** These ask to end. Other signals may have a meaning for a process in a container, any number of times. */
const ENDING: ReadonlySet<string> = new Set(["SIGINT", "SIGTERM"]);
/** Time to restore the terminal, and for `run --rm` to delete its sandbox. */
const CLEAN_UP_MS = 3_000;

/** The exit code that a shell reports for a program that a signal ended. */
export const exitCodeOf = (name: NodeJS.Signals): number => 128 + constants.signals[name];

/** Passes signals to the command until the result is disposed of. */
export function listenToSignals(around: Surroundings, run: CommandRun): Disposable {
  let endings = 0;
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    run.restoreAll();
    around.exit(exitCodeOf(run.interruptedBy ?? "SIGTERM"));
  };
  const take = (name: NodeJS.Signals) => {
    if (ENDING.has(name) || run.interruptedBy !== undefined) endings += 1;
    if (endings < 2) return run.onSignal(name);
    run.interrupt(name);
    if (endings > 2) end();
    else timer = setTimeout(end, CLEAN_UP_MS);
  };
  const listeners = LISTENED.map((name) => ({ name, listener: () => take(name) }));
  for (const { name, listener } of listeners) around.signals.on(name, listener);
  return {
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      for (const { name, listener } of listeners) around.signals.off(name, listener);
    },
  };
}
