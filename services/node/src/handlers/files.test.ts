import assert from "node:assert/strict";
import { test } from "node:test";
import { fromStatus } from "@paddock/protocol";
import { type FileFixture, fileContract } from "../testing/file-contract.ts";
import type { NamedCommand, NamedOutcome } from "../testing/named-command.ts";
import { testBed } from "../testing/stream-test-bed.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const AT = { sandboxId: "s1", containerId: "c1" };

/** A node with a running sandbox. */
async function running(): Promise<TestNode> {
  const node = await TestNode.start();
  const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
  sandboxIn(await node.ask({ case: "runSandbox", value: { spec } }));
  return node;
}

const STAT = { case: "statFile", value: { ...AT, path: "/f" } } as const;
const LIST = { case: "listFiles", value: { ...AT, path: "/" } } as const;
const MAKE = { case: "makeDirectory", value: { ...AT, path: "/made" } } as const;
const REMOVE = { case: "removeFile", value: { ...AT, path: "/f" } } as const;

function succeeded(outcome: NamedOutcome): Exclude<NamedOutcome, { case: "error" }> {
  if (outcome.case === "error") throw fromStatus(outcome.value);
  return outcome;
}

const reasonOf = (outcome: NamedOutcome): string =>
  outcome.case === "error" ? fromStatus(outcome.value).reason : "none";

/** Commands of a node and streams of a test bed, to guests with the same files. */
async function fixture(): Promise<FileFixture> {
  await using undo = new AsyncDisposableStack();
  const node = undo.use(await running());
  const bed = undo.use(await testBed({ routes: node.guest.files.routes }));
  const ask = async (command: NamedCommand) => succeeded(await node.ask(command));
  succeeded(await node.ask({ ...MAKE, value: { ...AT, path: "/contract" } }));
  const moved = undo.move();
  return {
    at: AT,
    files: {
      ...bed.streams,
      statFile: async (value) => {
        const outcome = await ask({ case: "statFile", value });
        assert.ok(outcome.case === "statFile");
        return outcome.value;
      },
      listFiles: async (value) => {
        const outcome = await ask({ case: "listFiles", value });
        assert.ok(outcome.case === "listFiles");
        return outcome.value;
      },
      removeFile: async (value) => {
        const outcome = await ask({ case: "removeFile", value });
        assert.ok(outcome.case === "removeFile");
        return outcome.value;
      },
      makeDirectory: async (value) => {
        const outcome = await ask({ case: "makeDirectory", value });
        assert.ok(outcome.case === "makeDirectory");
        return outcome.value;
      },
    },
    cut: async () => bed.fake.dropLink(),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

fileContract("the contract of files, with the fake guest", fixture);

test("a change of files that is repeated with its request id is done once, also after a crash", async () => {
  await using node = await running();
  node.guest.files.write("/f", Buffer.from("x"));
  for (const command of [MAKE, REMOVE]) {
    const asked = { requestId: `once-${command.case}` };
    succeeded(await node.ask(command, asked));
    succeeded(await node.ask(command, asked));
    await node.crash();
    succeeded(await node.ask(command, asked));
  }
  assert.deepEqual(node.guest.files.calls, ["makeDirectory", "removeFile"]);
  assert.equal(reasonOf(await node.ask(MAKE)), "FILE_REFUSED");
  assert.equal(reasonOf(await node.ask(REMOVE)), "FILE_NOT_FOUND");
});

test("files can be used in a ready sandbox and in a stopped container, and not without a VM that runs", async () => {
  await using node = await TestNode.start();
  const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  node.guest.files.write("/f", Buffer.from("x"));
  succeeded(await node.ask(STAT));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  node.guest.end("c1", { code: 0 });
  succeeded(await node.ask(STAT));
  assert.equal(
    reasonOf(await node.ask({ ...STAT, value: { ...STAT.value, containerId: "c2" } })),
    "CONTAINER_NOT_FOUND",
  );
  for (const change of ["pauseSandbox", "stopSandbox"] as const) {
    if (change === "stopSandbox") sandboxIn(await node.ask({ case: "resumeSandbox", value: {} }));
    sandboxIn(await node.ask({ case: change, value: {} }));
    for (const command of [STAT, LIST, MAKE, REMOVE]) {
      const outcome = await node.ask(command);
      assert.equal(reasonOf(outcome), "WRONG_STATE");
      assert.match(
        outcome.case === "error" ? outcome.value.message : "",
        /^cannot use the files of container c1/,
      );
    }
  }
});

test("a path that is empty, too long or has a zero byte is refused before the guest is asked", async () => {
  await using node = await running();
  for (const path of ["", "x".repeat(4097), "/a\0b"])
    for (const command of [STAT, LIST, MAKE, REMOVE])
      assert.equal(
        reasonOf(await node.ask({ case: command.case, value: { ...AT, path } })),
        "INVALID_FIELD",
        `${command.case} of ${JSON.stringify(path.slice(0, 9))}`,
      );
  assert.deepEqual(node.guest.files.calls, []);
});
