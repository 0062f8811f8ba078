import { create } from "@bufbuild/protobuf";
import { parseContainerId, parseSandboxId } from "@paddock/domain";
import { ContainerSpecSchema, SandboxSpecSchema } from "@paddock/protocol";
import { NO_NETWORK } from "../record/network-record.ts";
import type { ContainerPhase, SandboxRecord } from "../record/sandbox-record.ts";
import { newVmId } from "../vm/vm-paths.ts";

/** The record of a running sandbox with one container, c1, in the given phase. */
export function recordOf(id: string, phase: ContainerPhase): SandboxRecord {
  const sandboxId = parseSandboxId(id);
  const containerId = parseContainerId("c1");
  if (sandboxId === undefined || containerId === undefined) throw new Error(`${id} is not an id`);
  return {
    sandboxId,
    version: 1,
    generation: 1n,
    requestId: "r1",
    spec: create(SandboxSpecSchema, { labels: { a: "b" } }),
    size: { vcpus: 1, maxVcpus: 1, memoryBytes: 256 * 1024 * 1024 },
    vm: { id: newVmId(), slot: 0 },
    network: NO_NETWORK,
    createdAtMs: 1,
    bootDurationMs: 2.5,
    agentSequence: 0,
    guestBootId: "boot",
    eventSequence: 0,
    phase: { kind: "running", machine: { pid: 1, startTicks: "2", bootId: "b" }, startedAtMs: 3 },
    containers: [
      {
        containerId,
        instance: "i1",
        requestId: "r1",
        spec: create(ContainerSpecSchema, { containerId: "c1", image: "tiny" }),
        imageId: "sha256:a",
        imageBlob: "sha256:b",
        stopSignal: 15,
        index: 0,
        targets: { image: 0, layer: 1 },
        createdAtMs: 4,
        oomKillCount: 0,
        restarts: 0,
        phase,
      },
    ],
    volumes: [],
    devices: [],
    operations: [],
  };
}
