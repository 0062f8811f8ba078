import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { FakeApi, FakeProcess } from "@paddock/client/testing";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";

const paddock = resolve(import.meta.dirname, "../../bin/paddock");

/** script(1) gives its command a terminal of its own. */
function onTerminal(api: FakeApi, command: string) {
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    env: { PATH: process.env.PATH, TERM: "xterm-256color", PADDOCK_API: api.address },
  });
  let shown = "";
  child.stdout.on("data", (data: Buffer) => {
    shown += data;
  });
  const exit = new Promise<number | null>((settle) => child.once("close", settle));
  return { child, exit, shown: () => shown };
}

test("with -it the terminal is raw, its size is sent, and Ctrl-C is a byte for the process", {
  timeout: 60_000,
}, async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  const shell = new FakeProcess().write("stdout", "first\r\ndown\nhere\r\n$ ").serve(api);
  const sized = Promise.withResolvers<void>();
  const resized = Promise.withResolvers<void>();
  const typed = Promise.withResolvers<void>();
  shell.onInput = () => {
    if (shell.sizes.length > 0) sized.resolve();
    if (shell.sizes.some(({ rows, columns }) => rows === 50 && columns === 132)) resized.resolve();
    if (shell.stdin.includes(3)) typed.resolve();
  };
  const directory = await mkdtemp(join(tmpdir(), "paddock-tty-"));
  after(() => rm(directory, { recursive: true }));
  const resizeNow = join(directory, "resize-now");
  const command = `stty rows 30 cols 100; (until [ -e ${resizeNow} ]; do sleep 0.05; done; stty rows 50 cols 132) < /dev/tty & ${paddock} exec -it web sh; echo "code $?"; stty -a | grep -o ' icanon'`;
  const terminal = onTerminal(api, `sh -c '${command.replaceAll("'", `'"'"'`)}'`);
  await sized.promise;
  assert.deepEqual(shell.sizes[0], { rows: 30, columns: 100 });
  const start = shell.lastStart?.message.case === "start" ? shell.lastStart.message.value : undefined;
  assert.ok(start && "process" in start);
  assert.equal(start.process?.terminal, true);
  assert.deepEqual(start.process?.env, ["TERM=xterm-256color"]);
  terminal.child.stdin.write("ls\x03");
  await typed.promise;
  assert.equal(shell.stdin.toString(), "ls\x03");
  await writeFile(resizeNow, "");
  await resized.promise;
  shell.end(130);
  await terminal.exit;
  assert.ok(terminal.shown().includes("first\r\ndown\nhere\r\n$ "), "output comes as the process wrote it");
  assert.match(terminal.shown(), /code 130\r\n/, "the terminal is restored for output");
  assert.match(terminal.shown(), / icanon/, "and for input");
  assert.deepEqual(shell.signals, []);
});
