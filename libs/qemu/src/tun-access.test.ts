import assert from "node:assert/strict";
import { test } from "node:test";
import { tunPrefix } from "./tun-access.ts";

const user = { uid: 700_000, gid: 700_000, groups: [44] };
const device = (mode: number, gid = 0) => ({ mode: 0o020000 | mode, uid: 0, gid });

test("QEMU gets its own device node only where its user cannot open the host's", () => {
  const prefix = tunPrefix({ user }, device(0o600));
  assert.deepEqual(prefix.slice(0, 5), ["unshare", "--mount", "--propagation", "slave", "--"]);
  assert.equal(prefix.at(-1), "700000");
  assert.deepEqual(tunPrefix({ user }, device(0o660, 45)), prefix);
  for (const open of [device(0o666), device(0o660, 44)]) assert.deepEqual(tunPrefix({ user }, open), []);
  assert.deepEqual(tunPrefix({}, device(0o600)), [], "without a user of its own QEMU has the daemon's");
});
