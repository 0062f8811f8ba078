import { create } from "@bufbuild/protobuf";
import { parseContainerId } from "@paddock/domain";
import { ContainerSpecSchema } from "@paddock/protocol";
import type { ContainerRecord } from "./sandbox-record.ts";

/**
 * As much of a container as its undos need, from the journal's scope (`container:<index>:<id>`): the creation was cut short, so no
 * record has it. Undefined for the scope of another operation.
 */
export function unfinishedContainer(scope: string): ContainerRecord | undefined {
  const match = /^container:([0-9]{1,3}):(.*)$/.exec(scope);
  const containerId = parseContainerId(match?.[2] ?? "");
  if (match === null || containerId === undefined) return undefined;
  return {
    containerId,
    instance: "",
    requestId: "",
    spec: create(ContainerSpecSchema, { containerId }),
    imageId: "",
    imageBlob: "",
    stopSignal: 15,
    index: Number(match[1]),
    createdAtMs: 0,
    oomKillCount: 0,
    restarts: 0,
    phase: { kind: "ready" },
  };
}
