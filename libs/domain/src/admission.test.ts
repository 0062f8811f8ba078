import assert from "node:assert/strict";
import { test } from "node:test";
import { admit, type HostRoom, requireDiskSpace } from "./admission.ts";
import { PaddockError } from "./errors.ts";
import { MIB } from "./vm-size.ts";

const reasonOf = (attempt: () => unknown): string => {
  try {
    attempt();
  } catch (error) {
    if (error instanceof PaddockError) return error.reason;
    throw error;
  }
  return "accepted";
};

test("memory is never overcommitted, CPUs are admitted up to the capacity, and the disk keeps its free-space floor", () => {
  const host: HostRoom = {
    capacity: { milliCpus: 2000, memoryBytes: 1024 * MIB, diskBytes: 0 },
    allocated: { milliCpus: 1000, memoryBytes: 512 * MIB, diskBytes: 0 },
  };
  const demand = { milliCpus: 1000, memoryBytes: 512 * MIB, diskBytes: 0 };
  assert.equal(
    reasonOf(() => admit(demand, host)),
    "accepted",
  );
  assert.equal(
    reasonOf(() => admit({ ...demand, memoryBytes: 512 * MIB + 1 }, host)),
    "NO_CAPACITY",
  );
  assert.equal(
    reasonOf(() => admit({ ...demand, milliCpus: 1001 }, host)),
    "NO_CAPACITY",
  );
  assert.equal(
    reasonOf(() => requireDiskSpace(10 * MIB, 5 * MIB)),
    "accepted",
  );
  assert.equal(
    reasonOf(() => requireDiskSpace(4 * MIB, 5 * MIB)),
    "NO_DISK_SPACE",
  );
});

test("disk is admitted up to the capacity, and a refusal has the numbers", () => {
  const amount = (diskBytes: number) => ({ milliCpus: 0, memoryBytes: 0, diskBytes });
  const host: HostRoom = { capacity: amount(100 * MIB), allocated: amount(60 * MIB) };
  admit(amount(40 * MIB), host);
  assert.throws(() => admit(amount(40 * MIB + 1), host), {
    reason: "NO_DISK_SPACE",
    metadata: { resource: "disk_bytes", needed: String(40 * MIB + 1), free: String(40 * MIB) },
  });
  const overfull = { ...host, allocated: amount(200 * MIB) };
  admit(amount(0), overfull);
  assert.throws(() => admit(amount(1), overfull), {
    metadata: { resource: "disk_bytes", needed: "1", free: "0" },
  });
});
