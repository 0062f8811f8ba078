/** Starts a process in a container, prints its id and disconnects from it. */
import { type ProcessAddress, type StartProcessOptions, startProcess } from "@paddock/client";
import type { CommandRun } from "../command-run.ts";
import { notExecuted, noticeText } from "./foreground-process.ts";

export type BackgroundProcess = {
  /** Completes "cannot …". */
  readonly what: string;
  readonly address: ProcessAddress;
  readonly process: StartProcessOptions["process"];
};

/** Throws `CliError`, also for a command that could not be executed. */
export async function startInBackground(
  run: CommandRun,
  { what, address, process }: BackgroundProcess,
): Promise<void> {
  const { client, timeoutMs, signal } = { client: run.api, ...run.callOptions() };
  const onNotice: StartProcessOptions["onNotice"] = (notice) => run.warn(noticeText(notice));
  try {
    const ended = await startProcess({ client, address, process, timeoutMs, signal, onNotice });
    if (ended && ended.reason !== "") throw notExecuted(ended);
  } catch (error) {
    throw run.explain(error, { what });
  }
  if (run.isJson) run.printJson(address);
  else run.print(`${address.execId}\n`);
}
