import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { FakeApi } from "@paddock/client/testing";
import { CgroupLayout, ContainerState, SandboxState, type SandboxStatusSchema } from "@paddock/protocol";
import { serveNetwork } from "../testing/fake-network.ts";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli } from "../testing/run-in-process.ts";

const MIB = 1024n * 1024n;

const GROWING: MessageInitShape<typeof SandboxStatusSchema> = {
  sandboxId: "web",
  state: SandboxState.RUNNING,
  size: { vcpus: 1, memoryBytes: 256n * MIB },
  maxSize: { vcpus: 4, memoryBytes: 1024n * MIB },
  wantedSize: { vcpus: 2, memoryBytes: 512n * MIB },
  limits: {
    cpuQuotaUs: 150_000n,
    cpuPeriodUs: 100_000n,
    memoryBytes: 384n * MIB,
    cgroupLayout: CgroupLayout.V1,
  },
  containers: [
    {
      containerId: "main",
      state: ContainerState.RUNNING,
      restartCount: 2,
      resources: { cpuQuotaUs: 150_000n, cpuPeriodUs: 100_000n, memoryBytes: 64n * MIB, pids: -1n },
      resourcesInForce: { cpuQuotaUs: 50_000n, cpuPeriodUs: 50_000n, memoryBytes: 64n * MIB },
    },
    {
      containerId: "side",
      state: ContainerState.RUNNING,
      resources: { cpusetCpus: "0-1", memoryBytes: -1n, swapBytes: 0n, cpuShares: 512n },
      resourcesInForce: { cpusetCpus: "0-1", memoryBytes: 32n * MIB, swapBytes: 0n, cpuShares: 512n },
    },
    { containerId: "free", state: ContainerState.READY },
  ],
};

async function fixture() {
  const api = await FakeApi.start();
  const size = { vcpus: 1, memoryBytes: 256n * MIB };
  serveSandboxes(api, [
    { sandboxId: "web", status: GROWING },
    { sandboxId: "calm", status: { sandboxId: "calm", state: SandboxState.RUNNING, size, wantedSize: size } },
  ]);
  return api;
}

const cells = (line: string): string[] => line.split(/ {3,}/);

test("ps marks a VM that does not have the size its containers need, and shows no other sizes", async () => {
  await using api = await fixture();
  const lines = (await cli(api, ["ps"])).out.trimEnd().split("\n").map(cells);
  assert.equal(lines[0]?.at(-1), "ISOLATION");
  assert.equal(lines[1]?.at(-3), "Up, wants 2 vCPUs, 512MiB");
  assert.equal(lines[4]?.at(-3), "Up");
});

test("ps marks an unhealthy VM", async () => {
  await using api = await FakeApi.start();
  const state = SandboxState.RUNNING;
  serveSandboxes(api, [
    {
      sandboxId: "sick",
      status: {
        ...GROWING,
        sandboxId: "sick",
        health: { healthy: false, detail: "the guest did not answer" },
      },
    },
    { sandboxId: "well", status: { sandboxId: "well", state, health: { healthy: true } } },
  ]);
  const lines = (await cli(api, ["ps"])).out.trimEnd().split("\n").map(cells);
  assert.equal(lines[1]?.at(-3), "Up (unhealthy), wants 2 vCPUs, 512MiB");
  assert.equal(lines.at(-1)?.at(-3), "Up");
});

test("ps shows the restarts of each container, and none for a sandbox without containers", async () => {
  await using api = await fixture();
  const lines = (await cli(api, ["ps"])).out.trimEnd().split("\n").map(cells);
  assert.deepEqual(
    lines.map((line) => line.at(-4)),
    ["RESTARTS", "2", "0", "0", "-"],
  );
  const listed = JSON.parse((await cli(api, ["ps", "-o", "json"])).out);
  const web = listed.find(({ sandboxId }: { sandboxId: string }) => sandboxId === "web");
  assert.equal(web.status.containers[0].restartCount, 2);
});

test("ps --limits shows the limits of containers, those not in force, and the sizes and maxima of VMs", async () => {
  await using api = await fixture();
  const { out } = await cli(api, ["ps", "--limits"]);
  assert.deepEqual(
    out
      .trimEnd()
      .split("\n")
      .map((line) => cells(line).slice(-2)),
    [
      ["LIMITS", "VM SIZE"],
      ["1.5 CPUs (now 1 CPU), 64.0MiB", "1 vCPU, 256MiB, up to 4, 1.00GiB"],
      ["512 shares, on 0-1, no memory limit (now 32.0MiB), 0B swap", "1 vCPU, 256MiB, up to 4, 1.00GiB"],
      ["none", "1 vCPU, 256MiB, up to 4, 1.00GiB"],
      ["-", "1 vCPU, 256MiB"],
    ],
  );
});

test("inspect shows limits as requested and in force, wanted and current sizes, and the host's limits of the VM", async () => {
  await using api = await fixture();
  const [{ status }] = JSON.parse((await cli(api, ["inspect", "web"])).out);
  assert.deepEqual([status.size.vcpus, status.wantedSize.vcpus, status.maxSize.vcpus], [1, 2, 4]);
  assert.deepEqual([status.size.memoryBytes, status.wantedSize.memoryBytes], ["268435456", "536870912"]);
  assert.equal(status.limits.cpuQuotaUs, "150000");
  assert.equal(status.containers[0].resources.cpuQuotaUs, "150000");
  assert.equal(status.containers[0].resourcesInForce.cpuQuotaUs, "50000");
});

test("ps shows published ports as docker does", async () => {
  await using api = await FakeApi.start();
  serveNetwork(api);
  const [heading, web, alone] = (await cli(api, ["ps"])).out.trimEnd().split("\n").map(cells);
  assert.equal(heading?.at(-5), "PORTS");
  assert.equal(web?.at(-5), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 127.0.0.1:5353->53/udp");
  assert.equal(alone?.at(-5), "-");
});

test("ps --format fills docker's fields into a template, as lines or as a table", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web", ["main", "side"]), { ...fakeSandbox("db\x1b"), nodeId: "" }]);
  const lines = await cli(api, ["ps", "--format", "{{.Names}}\\t{{ .State }}:{{.Ports}}|{{.Node}}"]);
  assert.equal(lines.out, "web\tup:|host-1\nweb/side\tup:|host-1\ndb\\x1b\tup:|-\n");
  const table = await cli(api, ["ps", "--format", "table {{.Names}}\\t{{.Image}} {{.Container}}"]);
  assert.equal(
    table.out,
    "NAMES      IMAGE CONTAINER\nweb        tiny:1 main\nweb/side   tiny:1 side\ndb\\x1b     tiny:1 main\n",
  );
});

for (const { words, says } of [
  { words: ["--format", "json"], says: /--format does not print JSON\nhint: write -o json/ },
  { words: ["--format", "{{json .}}"], says: /hint: write -o json/ },
  { words: ["--format", "{{.Command}}"], says: /there is no field "\.Command"\nhint: one of \.ID, / },
  { words: ["--format", "{{if .ID}}x{{end}}"], says: /is not supported.*\nhint: use -o json and jq/ },
  { words: ["--format", "{{.ID}}", "-o", "json"], says: /--format and -o json exclude each other/ },
]) {
  test(`"ps ${words.join(" ")}" is refused before any call`, async () => {
    await using api = await FakeApi.start();
    const { code, err } = await cli(api, ["ps", ...words]);
    assert.deepEqual([code, api.calls], [2, []]);
    assert.match(err, says);
  });
}
