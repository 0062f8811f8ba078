import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatCpuList, guestCpuset, parseCpuList, unionOfCpuLists, vcpuPins } from "./cpu-list.ts";
import { PaddockError } from "./errors.ts";

test("a CPU list parses in any order and formats with the fewest ranges", () => {
  assert.deepEqual(parseCpuList("8,0-2,1"), [0, 1, 2, 8]);
  assert.deepEqual(parseCpuList(""), []);
  assert.equal(formatCpuList([8, 2, 0, 1, 2]), "0-2,8");
  assert.equal(formatCpuList([]), "");
});

for (const text of ["-", "1-", "-1", "3-1", "1,,2", "0-4294967295", "8192", "a", "0-1 "])
  test(`${JSON.stringify(text)} is rejected as a CPU list`, () => {
    assert.throws(
      () => parseCpuList(text, "spec.cpus"),
      (error: unknown) =>
        error instanceof PaddockError &&
        error.reason === "INVALID_FIELD" &&
        error.violations[0]?.field === "spec.cpus",
    );
  });

test("a formatted CPU list parses to the same CPUs", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 8191 })), (cpus) => {
      const sorted = cpus.toSorted((a, b) => a - b);
      assert.deepEqual(parseCpuList(formatCpuList(cpus)), sorted);
    }),
  );
});

test("a union merges overlapping lists, and is undefined (all CPUs) when one list is missing", () => {
  assert.equal(unionOfCpuLists(["0-1", "1-3", "8"]), "0-3,8");
  assert.equal(unionOfCpuLists(["0-1", undefined]), undefined);
  assert.equal(unionOfCpuLists([]), undefined);
});

const translations: [string, string | undefined, string | undefined, number, string][] = [
  ["as many vCPUs as CPUs", "2-3", "0-3", 4, "2-3"],
  ["CPUs far from 0", "9", "8-9", 2, "1"],
  ["more vCPUs than CPUs, assigned in turn", "8", "8-9", 5, "0,2,4"],
  ["fewer vCPUs, each with two CPUs of its own", "2-3", "0-3", 2, "1"],
  ["fewer vCPUs, none with only its CPUs", "1-2", "0-3", 2, "0-1"],
  ["one vCPU for all", "3", "0-3", 1, "0"],
  ["a container without a list", undefined, "0-3", 4, "0-3"],
  ["a sandbox without a list", "2", undefined, 2, "0-1"],
  ["CPUs that are not in the union", "9", "0-3", 2, "0-1"],
];
for (const [what, host, union, vcpus, expected] of translations)
  test(`in the guest, ${what}: ${host ?? "all"} of ${union ?? "all"} on ${vcpus} is ${expected}`, () => {
    assert.equal(guestCpuset(host, union, vcpus), expected);
  });

test("vCPUs are pinned only where containers name different CPUs", () => {
  assert.equal(vcpuPins(["0-3", "0-2,3"], 2), undefined);
  assert.equal(vcpuPins(["0-3", undefined], 2), undefined);
  assert.equal(vcpuPins([], 2), undefined);
  assert.deepEqual(vcpuPins(["0-1", "2-3"], 2), ["0-1", "2-3"]);
  assert.deepEqual(vcpuPins(["0", "1"], 3), ["0", "1", "0"]);
});

const list = fc
  .uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 6 })
  .map((cpus) => formatCpuList(cpus));

test("a container always has a vCPU, and with at least as many vCPUs as CPUs it runs only on the vCPUs of its own CPUs", () => {
  const sandbox = fc.record({
    lists: fc.array(list, { minLength: 1, maxLength: 4 }),
    vcpus: fc.integer({ min: 1, max: 20 }),
  });
  fc.assert(
    fc.property(sandbox, ({ lists, vcpus }) => {
      const union = unionOfCpuLists(lists);
      const pins = vcpuPins(lists, vcpus);
      assert.ok(pins === undefined || (pins.length === vcpus && pins.every((pin) => pin !== "")));
      for (const own of lists) {
        const guest = parseCpuList(guestCpuset(own, union, vcpus));
        assert.ok(guest.length > 0 && guest.every((vcpu) => vcpu < vcpus));
        if (pins && vcpus >= parseCpuList(union ?? "").length)
          for (const vcpu of guest)
            assert.ok(parseCpuList(pins[vcpu] ?? "").every((cpu) => parseCpuList(own).includes(cpu)));
      }
    }),
  );
});
