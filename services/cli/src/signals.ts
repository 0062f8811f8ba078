/**
 * Signals to us. The first is the command's to answer: it forwards it, ends what is under way, or ends itself. The second ends
 * us whatever the api, the process or the reader of our output does; what has to be cleaned up is given a moment, the third
 * takes that, too.
 */
import { constants } from "node:os";
import type { CommandRun, Surroundings } from "./command-run.ts";

const LISTENED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const;
/** These ask for the end; the others may be news for a process that we carry, as often as it likes. */
const ENDING: ReadonlySet<string> = new Set(["SIGINT", "SIGTERM"]);
/** For the terminal to be put back, and for `run --rm` to delete its sandbox. */
const LAST_MS = 3_000;

/** What a shell shows of a program that a signal ended. */
export const exitCodeOf = (name: NodeJS.Signals): number => 128 + constants.signals[name];

/** Hands signals to the command until it is disposed of. */
export function listenToSignals(around: Surroundings, run: CommandRun): Disposable {
  let endings = 0;
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    run.sayLastWords();
    around.exit(exitCodeOf(run.interruptedBy ?? "SIGTERM"));
  };
  const take = (name: NodeJS.Signals) => {
    if (ENDING.has(name) || run.interruptedBy !== undefined) endings += 1;
    if (endings < 2) return run.onSignal(name);
    run.interrupt(name);
    if (endings > 2) end();
    else timer = setTimeout(end, LAST_MS);
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
