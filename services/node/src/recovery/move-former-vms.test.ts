import assert from "node:assert/strict";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hostName } from "../record/sandbox-paths.ts";
import { formerVmId } from "../store/record-codec.ts";
import { formerVmsDir, vmPaths, vmsDir } from "../vm/vm-paths.ts";
import { moveFormerVms } from "./move-former-vms.ts";

const log = { level: "info", debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

test("the VM directory of a former version is moved as a whole, its sockets answer, and the logs stay", async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), "former-"));
  t.after(() => rmSync(stateDir, { recursive: true, force: true }));
  mkdirSync(vmsDir(stateDir));
  const sandbox = join(formerVmsDir(stateDir), hostName("s1"));
  mkdirSync(join(sandbox, "vm"), { recursive: true });
  mkdirSync(join(sandbox, "logs"));
  writeFileSync(join(sandbox, "vm/0.ext4"), "layer");
  const server = createServer((socket) => socket.end("hello")).listen(join(sandbox, "vm/qmp.sock"));
  await once(server, "listening");
  t.after(() => server.close());
  mkdirSync(join(formerVmsDir(stateDir), hostName("s2")));
  symlinkSync("/etc", join(formerVmsDir(stateDir), hostName("s2"), "vm"));
  await moveFormerVms({ stateDir, log });
  const { dir, qmpSocket } = vmPaths(stateDir, formerVmId("s1"));
  assert.equal(readFileSync(join(dir, "0.ext4"), "utf8"), "layer");
  assert.equal(String((await once(connect(qmpSocket), "data"))[0]), "hello");
  assert.ok(existsSync(join(sandbox, "logs")));
  assert.ok(!existsSync(join(sandbox, "vm")));
  assert.ok(!existsSync(vmPaths(stateDir, formerVmId("s2")).dir), "a link is not moved");
  await moveFormerVms({ stateDir, log });
  assert.ok(existsSync(qmpSocket), "a second call changes nothing");
});
