import assert from "node:assert/strict";
import { test } from "node:test";
import { CgroupError } from "./cgroup-error.ts";
import { parseHierarchy, readHierarchy } from "./hierarchy.ts";

const V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
const V1_PAIR = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct";
const V1_MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
const V1_SYSTEMD = "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd";
const V1_FREEZER = "37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer";
const V2_BESIDE = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
const OTHER = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw,cpu";

const layouts = [
  { name: "one v2 mount", lines: [OTHER, V2], layout: "v2", controllers: [] },
  {
    name: "v1 mounts alone",
    lines: [V1_PAIR, V1_MEMORY],
    layout: "v1",
    controllers: ["cpu", "cpuacct", "memory"],
  },
  {
    name: "v1 beside v2",
    lines: [V1_SYSTEMD, V1_MEMORY, V2_BESIDE],
    layout: "hybrid",
    controllers: ["memory"],
  },
  {
    name: "v1 without our controllers, beside v2",
    lines: [V1_FREEZER, V2_BESIDE],
    layout: "v2",
    controllers: [],
  },
] as const;

for (const { name, lines, layout, controllers } of layouts) {
  test(`a host with ${name} is recognised as ${layout}`, () => {
    const hierarchy = parseHierarchy(lines.join("\n"), "0::/\n");
    assert.equal(hierarchy.layout, layout);
    assert.deepEqual([...hierarchy.v1.keys()], controllers);
  });
}

test("cpu and cpuacct mounted together have one mount point", () => {
  const { v1 } = parseHierarchy(V1_PAIR, "");
  assert.equal(v1.get("cpu")?.mountPoint, "/sys/fs/cgroup/cpu,cpuacct");
  assert.equal(v1.get("cpuacct")?.mountPoint, "/sys/fs/cgroup/cpu,cpuacct");
});

test("a mount option of another file system is not read as a controller", () => {
  assert.throws(() => parseHierarchy(OTHER, ""), { name: "CgroupError", kind: "no-hierarchy" });
});

test("escaped blanks in a mount point are decoded", () => {
  const line = "35 31 0:32 / /mnt/my\\040groups rw - cgroup cgroup rw,memory";
  assert.equal(parseHierarchy(line, "").v1.get("memory")?.mountPoint, "/mnt/my groups");
});

test("inside a container the process's path is relative to the mount's root", () => {
  const line = "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
  assert.equal(parseHierarchy(line, "0::/docker/abc/leaf\n").ownV2Path, "/leaf");
  assert.equal(parseHierarchy(line, "0::/docker/abc\n").ownV2Path, "/");
  assert.equal(parseHierarchy(line, "0::/docker/abcdef\n").ownV2Path, "/");
});

test("lines that are not mountinfo are ignored", () => {
  assert.throws(() => parseHierarchy("\nfoo bar\n- -\n", ""), CgroupError);
});

test("this host has a hierarchy", async () => {
  const hierarchy = await readHierarchy();
  assert.ok(hierarchy.v1.size > 0 || hierarchy.v2 !== undefined);
});
