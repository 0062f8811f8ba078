/** Formats events as lines: time, place, change. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Event, type ExitStatus, StopCause } from "@paddock/protocol";
import { printable } from "./printable.ts";
import { causeText, containerStateText, sandboxStateText } from "./status-text.ts";

export function eventLine(event: Event): string {
  const time = event.time ? new Date(timestampMs(event.time)).toISOString() : "-";
  return `${time} ${printable(placeOf(event))} ${printable(whatOf(event))}\n`;
}

/** SANDBOX, SANDBOX/CONTAINER, or SANDBOX/CONTAINER/EXEC. */
function placeOf({ sandboxId, containerId, execId }: Event): string {
  const exec = execId === containerId ? "" : execId;
  return [sandboxId, containerId, exec].filter((id) => id !== "").join("/");
}

function whatOf({ change, cause, containerId, execId }: Event): string {
  switch (change.case) {
    case "sandboxState":
      return `sandbox ${withCause(sandboxStateText(change.value), cause)}`;
    case "containerState":
      return `container ${withCause(containerStateText(change.value), cause)}`;
    case "processExited":
      return `${execId === containerId ? "init" : "exec"} ${withCause(endText(change.value), cause)}`;
    case "oom":
      return `out of memory, ${change.value.oomKillCount} killed so far`;
    case "health":
      return change.value.healthy ? "guest answers" : `guest does not answer: ${change.value.detail}`;
    case undefined:
      return "unknown event";
    default:
      return change satisfies never;
  }
}

const endText = ({ code, signal }: ExitStatus): string =>
  signal === 0 ? `exited with ${code}` : `was killed by signal ${signal}`;

function withCause(text: string, cause: StopCause): string {
  const why = cause === StopCause.REQUESTED ? "as requested" : causeText(cause);
  return why === undefined ? text.toLowerCase() : `${text.toLowerCase()}, ${why}`;
}
