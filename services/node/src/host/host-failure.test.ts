import assert from "node:assert/strict";
import { test } from "node:test";
import { CgroupError } from "@paddock/cgroups";
import { PaddockError } from "@paddock/domain";
import { NetworkError } from "@paddock/network";
import { fromStatus } from "@paddock/protocol";
import { QemuError } from "@paddock/qemu";
import { sandboxIn, TestNode } from "../testing/test-node.ts";
import { hostFailure } from "./host-failure.ts";

const reasonOf = (error: unknown) => {
  const told = hostFailure(error);
  return told instanceof PaddockError ? told.reason : undefined;
};

test("a refusal of the host has its own reason, and other errors do not change", () => {
  assert.equal(reasonOf(new CgroupError("refused", "no")), "HOST_REFUSED");
  assert.equal(reasonOf(new QemuError("qmp-refused", "no")), "HOST_REFUSED");
  assert.equal(reasonOf(new QemuError("deadline", "late")), "VM_UNAVAILABLE");
  assert.equal(reasonOf(new NetworkError("refused", "no")), "HOST_REFUSED");
  assert.equal(reasonOf(new NetworkError("taken", "in use")), "PORT_IN_USE");
  assert.equal(reasonOf(new NetworkError("exhausted", "no address")), "NO_CAPACITY");
  const full = Object.assign(new Error("ENOSPC: no space left on device, mkdir"), { code: "ENOSPC" });
  assert.equal(reasonOf(full), "NO_DISK_SPACE");
  for (const error of [
    new QemuError("aborted", "left"),
    new PaddockError("WRONG_STATE", "x"),
    new Error("bug"),
  ])
    assert.equal(hostFailure(error), error);
});

test("an update that the host's kernel refuses is HOST_REFUSED and changes nothing", async () => {
  await using node = await TestNode.start();
  const containers = [{ containerId: "c1", image: "tiny" }];
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: { containers } } }));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  node.cgroups.onApply = async ({ cpu }) => {
    if (cpu?.quotaUs === 50_000) throw new CgroupError("refused", "the kernel refused the value");
  };
  const resources = { cpuQuotaUs: 50_000n };
  const outcome = await node.ask({ case: "updateContainer", value: { containerId: "c1", resources } });
  assert.ok(outcome.case === "error");
  const { reason, message } = fromStatus(outcome.value);
  assert.deepEqual([reason, message], ["HOST_REFUSED", "the kernel refused the value"]);
  const { status } = sandboxIn(await node.ask({ case: "getSandbox", value: {} }));
  assert.equal(status?.containers[0]?.resources?.cpuQuotaUs ?? 0n, 0n);
});
