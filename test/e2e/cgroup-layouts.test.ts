/** The tests of cgroups on layouts that this host does not have. VMs with real kernels run the same tests as the host. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { runInLayoutGuest } from "../harness/layout-guest.ts";

const TESTS = [
  "libs/cgroups/src/cgroup-tree.test.ts",
  "libs/cgroups/src/hierarchy.test.ts",
  "services/node/src/vm/vm-cgroups.test.ts",
];

const layouts = [
  {
    title: "v2, in the cgroup that systemd would delegate, and nothing outside of it is changed",
    prepare: [
      "cg=/sys/fs/cgroup; own=system.slice/paddock.service",
      "mount -t cgroup2 cgroup2 $cg",
      "mkdir -p $cg/$own $cg/system.slice/other.service",
      'for d in $cg $cg/system.slice; do echo "+cpu +cpuset +memory +pids" > $d/cgroup.subtree_control; done',
      // This shell and its tests are the unit's processes.
      "echo $$ > $cg/$own/cgroup.procs",
      "outside() { cat $cg/cgroup.subtree_control $cg/system.slice/cgroup.subtree_control; echo $cg/*/ $cg/system.slice/*/; }",
    ],
  },
  {
    title: "v1 alone, with cpu, cpuacct and cpuset in one hierarchy",
    prepare: [
      "cg=/sys/fs/cgroup; mkdir $cg/all $cg/memory $cg/pids",
      "mount -t cgroup -o cpu,cpuacct,cpuset cgroup $cg/all",
      "mount -t cgroup -o memory cgroup $cg/memory",
      "mount -t cgroup -o pids cgroup $cg/pids",
      "outside() { echo $cg/*/; }",
    ],
  },
];

describe("the contract of cgroups", () => {
  for (const { title, prepare } of layouts) {
    test(`holds on ${title}`, async () => {
      const scratch = mkdtempSync(join(tmpdir(), "cgroup-layout-"));
      try {
        const said = await runInLayoutGuest({ prepare, tests: TESTS }, scratch);
        assert.match(said, /^TESTS-PASSED$/m, said);
        assert.ok(Number(/^# pass (\d+)$/m.exec(said)?.[1]) >= 35, said);
        const [, before, after] = /^BEFORE\n([\s\S]*)^AFTER\n([\s\S]*)^END$/m.exec(said) ?? [];
        assert.ok(before !== undefined && before !== "", said);
        assert.equal(after, before);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    });
  }
});
