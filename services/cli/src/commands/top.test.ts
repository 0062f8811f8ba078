import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { ContainerService, ContainerState, SandboxState } from "@paddock/protocol";
import { serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli, startCli } from "../testing/run-in-process.ts";

const { RUNNING, PAUSED, STOPPED } = ContainerState;

/**
 * An api with a sandbox of four containers. Between two lists each process but the first of its container uses a second of CPU.
 */
async function fixture(state = SandboxState.RUNNING) {
  const api = await FakeApi.start();
  const states = { main: RUNNING, side: PAUSED, done: STOPPED, gone: RUNNING };
  const containers = Object.entries(states).map(([containerId, each]) => ({ containerId, state: each }));
  serveSandboxes(api, [{ sandboxId: "web", status: { sandboxId: "web", state, containers } }]);
  const counts = new Map<string, bigint>();
  api.unary(ContainerService.method.listProcesses, ({ containerId }) => {
    if (containerId === "gone") throw new PaddockError("CONTAINER_NOT_FOUND", "it was deleted");
    const count = counts.get(containerId) ?? 0n;
    counts.set(containerId, count + 1n);
    const startedAt = { seconds: 7n };
    const rest = { parentPid: 1, user: "nobody", state: "S", threads: 2, startedAt };
    return {
      processes: [
        {
          ...rest,
          pid: 1,
          parentPid: 0,
          cpuUs: 0n,
          virtualBytes: 4096n,
          residentBytes: 1024n,
          args: ["init", "\x1b[2Jevil"],
        },
        { ...rest, pid: 9, cpuUs: count * 1_000_000n, terminal: "pts/0", command: "busy\x07" },
      ],
    };
  });
  return api;
}

const cells = (line: string): string[] => line.split(/ {3,}/);

test("top lists the processes of all running containers, or of one named in either way", async () => {
  await using api = await fixture();
  const { code, out } = await cli(api, ["top", "web"]);
  assert.equal(code, 0);
  const init = ["1", "0", "nobody", "S", "2", "-", "0.00s", "4.00KiB", "1.00KiB", "init \\x1b[2Jevil"];
  const busy = ["9", "1", "nobody", "S", "2", "pts/0", "0.00s", "0B", "0B", "[busy\\x07]"];
  assert.deepEqual(out.trimEnd().split("\n").map(cells), [
    ["CONTAINER", "PID", "PPID", "USER", "STATE", "THREADS", "TTY", "TIME", "VSZ", "RSS", "COMMAND"],
    ["main", ...init],
    ["main", ...busy],
    ["side", ...init],
    ["side", ...busy],
  ]);
  for (const words of [["web/side"], ["web", "side"]]) {
    const one = await cli(api, ["top", ...words]);
    assert.match(one.out, /\nside +1 /);
    assert.doesNotMatch(one.out, /main/);
  }
});

test("a named container that does not exist is an error, and so is a sandbox that does not run", async () => {
  await using api = await fixture();
  assert.equal((await cli(api, ["top", "web/gone"])).code, 1);
  await using paused = await fixture(SandboxState.PAUSED);
  const { code, err } = await cli(paused, ["top", "web"]);
  assert.equal(code, 1);
  assert.match(err, /cannot list the processes of "web": it is paused\nhint: paddock resume web/);
});

test("top -o json prints each process with its container", async () => {
  await using api = await fixture();
  const list = JSON.parse((await cli(api, ["top", "web", "-o", "json"])).out);
  assert.deepEqual(
    list.map((each: { containerId: string; pid: number }) => `${each.containerId} ${each.pid}`),
    ["main 1", "main 9", "side 1", "side 9"],
  );
});

test("top --watch lists repeatedly, the busiest first, with the CPU used in between", async () => {
  await using api = await fixture();
  const run = startCli(api, ["top", "--watch", "--interval", "100ms", "web/main"]);
  await run.shows("1.00s");
  run.signals.emit("SIGINT", "SIGINT");
  assert.equal(await run.exit, 130);
  const lines = run.out().trimEnd().split("\n").map(cells);
  assert.deepEqual(lines[0]?.slice(0, 3), ["CONTAINER", "CPU %", "PID"]);
  assert.deepEqual(
    lines.slice(1, 5).map(([, share, pid]) => [share === "-", pid]),
    [
      [true, "1"],
      [true, "9"],
      [false, "9"],
      [false, "1"],
    ],
  );
  const share = Number(lines[3]?.[1]);
  assert.ok(share > 0 && share <= 1000, `a second of CPU in at least 100 ms: ${share} %`);
  assert.equal(lines[4]?.[1], "0.0");
});
