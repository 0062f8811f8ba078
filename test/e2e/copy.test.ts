/** Copies between the host and containers, with `paddock cp`. PADDOCK_TEST_COPY_MIB sets the size of the large file. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CommandLine, PADDOCK } from "../harness/command-line.ts";
import { exec } from "../harness/exec.ts";
import { runIdle } from "../harness/sandbox.ts";
import { Stack } from "../harness/stack.ts";

const SIZE_MIB = Number(process.env.PADDOCK_TEST_COPY_MIB ?? 24);

let stack: Stack;
let paddock: CommandLine;
const here = mkdtempSync(join(tmpdir(), "copy-"));
const big = join(here, "big");

const inBox = async (script: string) => {
  const { stdout } = await exec(stack.client, ["sh", "-c", script], { sandboxId: "box", containerId: "c1" });
  return String(stdout);
};
const digestOf = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

async function cp(...words: string[]): Promise<void> {
  const { code, stderr } = await paddock.run(["cp", ...words]);
  assert.equal(code, 0, stderr);
}

before(async () => {
  stack = await Stack.start();
  paddock = new CommandLine(stack);
  await runIdle(stack, "box");
  writeFileSync(big, randomFillSync(Buffer.alloc(SIZE_MIB * 1024 * 1024)));
});

after(async () => {
  await stack?.[Symbol.asyncDispose]();
  paddock?.[Symbol.dispose]();
  rmSync(here, { recursive: true, force: true });
});

test("a tree is the same in the container, and the same when it is back", async () => {
  const tree = join(here, "tree");
  mkdirSync(join(tree, "sub"), { recursive: true });
  writeFileSync(join(tree, "script"), "#!/bin/sh\n");
  chmodSync(join(tree, "script"), 0o750);
  linkSync(join(tree, "script"), join(tree, "sub/same"));
  symlinkSync("../script", join(tree, "sub/link"));
  await cp(tree, "box:/tmp");
  const seen = await inBox("cd /tmp/tree; stat -c '%n %a %u %h' script sub/same; readlink sub/link");
  assert.equal(seen, "script 750 0 2\nsub/same 750 0 2\n../script\n");
  await cp("box/c1:/tmp/tree/.", join(here, "back"));
  assert.equal(readFileSync(join(here, "back/sub/link"), "utf8"), "#!/bin/sh\n");
});

test("a large file is copied both ways over a node daemon that is killed meanwhile", async () => {
  for (const [from, to] of [
    [big, "box:/big"],
    ["box:/big", join(here, "again")],
  ] as const) {
    const child = spawn(PADDOCK, ["cp", from, to], { env: paddock.env, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (data: Buffer) => {
      said += data;
    });
    const ended = once(child, "close");
    await stack.killNode();
    await stack.startNode();
    const [code] = await ended;
    assert.equal(code, 0, said);
  }
  assert.equal(digestOf(join(here, "again")), digestOf(big));
});
