import assert from "node:assert/strict";
import { test } from "node:test";
import { newVmId, parseVmId, vmPaths } from "./vm-paths.ts";

test("socket paths below a state directory of 60 characters are short enough for the kernel", () => {
  const { qmpSocket, agentSocket, serialSocket } = vmPaths(`/${"d".repeat(59)}`, newVmId());
  for (const path of [qmpSocket, agentSocket, serialSocket]) assert.ok(path.length <= 107, `${path.length}`);
});

test("the id of a VM is 16 hexadecimal digits, and no two VMs have the same", () => {
  for (const text of ["", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef/", "../../../../etc/"])
    assert.equal(parseVmId(text), undefined, text);
  const [one, another] = [newVmId(), newVmId()];
  assert.equal(parseVmId(one), one);
  assert.notEqual(one, another);
});
