import { create } from "@bufbuild/protobuf";
import { type agentpb, type ProcessEntry, ProcessEntrySchema } from "@paddock/protocol";
import { guestText } from "../agent/guest-text.ts";
import { guestTime } from "../wire/guest-time.ts";

/** Bounds on what is shown: processes, arguments of one, and characters of an argument. */
const MAX_PROCESSES = 8192;
const MAX_ARGS = 256;
const MAX_ARG_CHARACTERS = 4096;
const MAX_NAME_CHARACTERS = 64;

/** The guest's processes as shown to clients: bounded, and without control characters. */
export const processEntries = (processes: readonly agentpb.ProcessEntry[]): ProcessEntry[] =>
  processes.slice(0, MAX_PROCESSES).map(processEntry);

function processEntry(entry: agentpb.ProcessEntry): ProcessEntry {
  const { $typeName: _type, guestPid: _guestPid, startedAt, ...rest } = entry;
  const time = guestTime(startedAt);
  return create(ProcessEntrySchema, {
    ...rest,
    ...(time && { startedAt: time }),
    user: guestText(entry.user, MAX_NAME_CHARACTERS),
    state: guestText(entry.state, 1),
    terminal: guestText(entry.terminal, MAX_NAME_CHARACTERS),
    command: guestText(entry.command, MAX_NAME_CHARACTERS),
    args: entry.args.slice(0, MAX_ARGS).map((arg) => guestText(arg, MAX_ARG_CHARACTERS)),
  });
}
