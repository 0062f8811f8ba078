/** Formats states and causes. */
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { ContainerState, type ContainerStatus, Isolation, SandboxState, StopCause } from "@paddock/protocol";
import { formatAge } from "./quantities.ts";

const CONTAINER_STATES: Readonly<Record<ContainerState, string>> = {
  [ContainerState.UNSPECIFIED]: "Unknown",
  [ContainerState.READY]: "Ready",
  [ContainerState.RUNNING]: "Up",
  [ContainerState.PAUSED]: "Paused",
  [ContainerState.STOPPED]: "Exited",
  [ContainerState.DELETED]: "Deleted",
};

const SANDBOX_STATES: Readonly<Record<SandboxState, string>> = {
  [SandboxState.UNSPECIFIED]: "Unknown",
  [SandboxState.CREATING]: "Booting",
  [SandboxState.READY]: "Ready",
  [SandboxState.RUNNING]: "Up",
  [SandboxState.PAUSED]: "Paused",
  [SandboxState.STOPPED]: "Stopped",
  [SandboxState.DELETING]: "Deleting",
  [SandboxState.DELETED]: "Deleted",
};

const CAUSES: Readonly<Partial<Record<StopCause, string>>> = {
  [StopCause.GUEST_OOM]: "out of memory",
  [StopCause.HOST_OOM]: "VM out of memory on the host",
  [StopCause.VM_LOST]: "VM lost",
  [StopCause.GUEST_PANIC]: "guest kernel panic",
  [StopCause.HOST_RESTART]: "host restarted",
  [StopCause.GUEST_UNRESPONSIVE]: "guest did not answer",
};

const ISOLATIONS: Readonly<Record<Isolation, string>> = {
  [Isolation.UNSPECIFIED]: "-",
  [Isolation.KVM]: "kvm",
  [Isolation.TCG_NO_GUARANTEE]: "tcg (no guarantee)",
};

export const isolationText = (isolation: Isolation): string => ISOLATIONS[isolation] ?? "-";

/** Why something ended, if its state does not imply the cause. */
export const causeText = (cause: StopCause): string | undefined => CAUSES[cause];

export const containerStateText = (state: ContainerState): string => CONTAINER_STATES[state] ?? "Unknown";

export const sandboxStateText = (state: SandboxState): string => SANDBOX_STATES[state] ?? "Unknown";

/** "Up 5 minutes", "Exited (137) 2 hours ago, out of memory". */
export function containerStatusText(container: ContainerStatus, nowMs: number): string {
  const word = CONTAINER_STATES[container.state] ?? "Unknown";
  const since = (time: Timestamp | undefined) => (time ? formatAge(nowMs - timestampMs(time)) : "");
  switch (container.state) {
    case ContainerState.RUNNING:
      return [word, since(container.startedAt)].filter(Boolean).join(" ");
    case ContainerState.STOPPED: {
      const code = container.exitStatus ? ` (${container.exitStatus.code})` : "";
      const age = since(container.stoppedAt);
      const cause = CAUSES[container.stopCause];
      return `${word}${code}${age ? ` ${age} ago` : ""}${cause ? `, ${cause}` : ""}`;
    }
    default:
      return word;
  }
}
