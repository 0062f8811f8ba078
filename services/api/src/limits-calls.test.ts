import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  ContainerService,
  CreateSandboxResponseSchema,
  NodeService,
  NodeState,
  ResourceEffect,
  SandboxService,
  UpdateContainerResponseSchema,
} from "@paddock/protocol";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, caught, eventually } from "./testing/api-bench.ts";
import type { FakeNode } from "./testing/fake-node.ts";

const MIB = 1024n ** 2n;
const GIB = 1024n ** 3n;
let bench: ApiBench;
let node: FakeNode;

const sandboxes = () => bench.connection.service(SandboxService);
const containers = () => bench.connection.service(ContainerService);

before(async () => {
  bench = await ApiBench.start(startNats);
  node = await bench.node("n1");
  node.commands.createSandbox = async ({ sandboxId }) =>
    create(CreateSandboxResponseSchema, { sandbox: { sandboxId } });
  const nodes = bench.connection.service(NodeService);
  await eventually(async () =>
    assert.equal((await nodes.getNode({ nodeId: "n1" })).node?.state, NodeState.UP),
  );
  await sandboxes().createSandbox({ requestId: "r", sandboxId: "s", spec: {} });
});
after(() => bench[Symbol.asyncDispose]());

test("an update reaches the node with the limits that are set, and its outcomes reach the client", async () => {
  const outcome = {
    field: "memory_bytes",
    requested: { value: { case: "number", value: 8n } },
    inForce: { value: { case: "number", value: 4n } },
    reason: "later",
  } as const;
  node.commands.updateContainer = async ({ containerId, resources }) =>
    create(UpdateContainerResponseSchema, {
      container: { containerId, ...(resources && { resources }) },
      outcomes: [{ ...outcome, effect: ResourceEffect.NEXT_START }],
    });
  const hugepages = [{ pageBytes: 2n * MIB, limitBytes: -1n }];
  const { container, outcomes } = await containers().updateContainer({
    requestId: "u1",
    sandboxId: "s",
    containerId: "c",
    resources: { cpuQuotaUs: -1n, hugepages, io: { readBytesPerSecond: -1n }, oomKillAll: false },
  });
  assert.equal(node.seen.at(-1)?.requestId, "u1");
  const limits = container?.resources;
  assert.deepEqual(
    [
      limits?.cpuQuotaUs,
      limits?.hugepages[0]?.limitBytes,
      limits?.io?.readBytesPerSecond,
      limits?.oomKillAll,
    ],
    [-1n, -1n, -1n, false],
  );
  assert.deepEqual([limits?.memoryBytes, limits?.pids, limits?.cpuShares], [undefined, undefined, undefined]);
  assert.equal(outcomes[0]?.reason, "later");
  assert.equal(outcomes[0]?.effect, ResourceEffect.NEXT_START);
});

test("limits out of range are refused with their names, and the node is not asked", async () => {
  const before = node.seen.length;
  const error = await caught(
    containers().updateContainer({
      requestId: "u2",
      sandboxId: "s",
      containerId: "c",
      resources: {
        cpuQuotaUs: 500n,
        cpuPeriodUs: 10n,
        cpuShares: 1n,
        cpusetCpus: "0-x",
        memoryBytes: MIB,
        swapBytes: -2n,
        pids: 0n,
        hugepages: [{ pageBytes: 4096n, limitBytes: MIB }],
        io: { readBytesPerSecond: 1n, writeOperationsPerSecond: 2n ** 40n },
      },
    }),
  );
  assert.equal(error.reason, "INVALID_FIELD");
  const fields = ["cpu_quota_us", "cpu_period_us", "cpu_shares", "cpuset_cpus", "memory_bytes", "swap_bytes"];
  const nested = ["hugepages[0].page_bytes", "io.read_bytes_per_second", "io.write_operations_per_second"];
  assert.deepEqual(
    error.violations.map(({ field }) => field).sort(),
    [...fields, "pids", ...nested].map((field) => `resources.${field}`).sort(),
  );
  const missing = await caught(
    containers().updateContainer({ requestId: "u3", sandboxId: "s", containerId: "c" }),
  );
  assert.deepEqual(
    missing.violations.map(({ field }) => field),
    ["resources"],
  );
  assert.equal(node.seen.length, before);
});

test("the maximum size of a VM is checked, and is not demanded of a node at boot", async () => {
  const odd = await caught(
    sandboxes().createSandbox({
      requestId: "g1",
      sandboxId: "g",
      spec: { resources: { maxVcpus: 241, maxMemoryBytes: 100_663_297n } },
    }),
  );
  assert.deepEqual(odd.violations.map(({ field }) => field).sort(), [
    "spec.resources.max_memory_bytes",
    "spec.resources.max_vcpus",
  ]);
  const resources = { memoryBytes: GIB, maxMemoryBytes: 64n * GIB, maxVcpus: 240 };
  await sandboxes().createSandbox({ requestId: "g2", sandboxId: "g", spec: { resources } });
});

test("a maximum below the size at boot is refused with its field before any node is asked", async () => {
  const before = node.seen.length;
  const contradictions = [
    ["spec.resources.max_vcpus", { vcpus: 4, maxVcpus: 3 }],
    ["spec.resources.max_memory_bytes", { memoryBytes: 2n * GIB, maxMemoryBytes: GIB }],
  ] as const;
  for (const [field, resources] of contradictions) {
    const error = await caught(
      sandboxes().createSandbox({ requestId: "g3", sandboxId: "g3", spec: { resources } }),
    );
    assert.equal(error.reason, "INVALID_FIELD");
    assert.deepEqual(
      error.violations.map((violation) => violation.field),
      [field],
    );
  }
  assert.equal(node.seen.length, before);
});

test("a malformed list of CPUs is refused with its field, and a valid one is accepted", async () => {
  const create = (cpusetCpus: string) => {
    const requestId = `cpus-${process.hrtime.bigint()}`;
    const spec = { containers: [{ containerId: "c", image: "i", resources: { cpusetCpus } }] };
    return sandboxes().createSandbox({ requestId, sandboxId: requestId, spec });
  };
  for (const text of ["1-", "-1", "1,,2", ",", "1-2-3", "0-x", "100000"]) {
    const { violations } = await caught(create(text));
    assert.deepEqual(
      violations.map(({ field }) => field),
      ["spec.containers[0].resources.cpuset_cpus"],
      text,
    );
  }
  for (const text of ["", "3", "0-3,8", "8191,0-1"]) await create(text);
});

test("a node whose sandboxes have grown gets no sandbox that no longer fits, after its next heartbeat", async () => {
  await node.beat(15n * GIB);
  const spec = { resources: { memoryBytes: 2n * GIB } };
  await eventually(async () => {
    const requestId = `full-${process.hrtime.bigint()}`;
    const error = await caught(sandboxes().createSandbox({ requestId, sandboxId: requestId, spec }));
    assert.equal(error.reason, "NO_CAPACITY");
  });
  await node.beat(0n);
});
