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
