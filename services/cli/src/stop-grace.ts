/** The time between SIGTERM and SIGKILL, for `stop` and `restart`. */
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Command, Option } from "commander";
import { parseSpan } from "./output/quantities.ts";

export type GraceOptions = { readonly grace?: string; readonly time?: string };

export const addGrace = (command: Command): Command =>
  command
    .option("-t, --grace <span>", 'time between SIGTERM and SIGKILL, such as "5" (seconds) or "500ms" (10s)')
    .addOption(new Option("--time <span>").hideHelp());

/** The field of a request; absent without the option. */
export function graceOf({ grace, time }: GraceOptions): { readonly grace?: Duration } {
  const text = grace ?? time;
  return text === undefined ? {} : { grace: durationFromMs(parseSpan(text)) };
}
