/** The time between SIGTERM and SIGKILL, for `stop` and `restart`. */
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Command, Option } from "commander";
import { parseSpan } from "./output/quantities.ts";

export type GraceOptions = { readonly grace?: Duration; readonly time?: Duration };

const parseGrace = (text: string): Duration => durationFromMs(parseSpan(text));

export const addGrace = (command: Command): Command =>
  command
    .option(
      "-t, --grace <span>",
      'time between SIGTERM and SIGKILL, such as "5" (seconds) or "500ms" (10s)',
      parseGrace,
    )
    .addOption(new Option("--time <span>").hideHelp().argParser(parseGrace));

/** The field of a request; absent without the option. */
export function graceOf({ time, grace = time }: GraceOptions): { readonly grace?: Duration } {
  return grace === undefined ? {} : { grace };
}
