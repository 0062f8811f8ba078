/**
 * Files of containers, through the api. PADDOCK_TEST_FILES_MIB sets the size of the large file (1024 is a gigabyte; by emulation that
 * takes minutes).
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { PaddockError } from "@paddock/domain";
import { CopyFormat, FileChangeKind, FileType } from "@paddock/protocol";
import { fileContract } from "../../services/node/src/testing/file-contract.ts";
import { copyIn, copyOut, sha256 } from "../../services/node/src/testing/file-copies.ts";
import { exec } from "../harness/exec.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

const MIB = 1024 * 1024;
const SIZE_MIB = Number(process.env.PADDOCK_TEST_FILES_MIB ?? 16);
/** Free bytes of the container's disk, beside the large file that is written twice. */
const ROOM_BYTES = 24 * MIB;
const FILE = CopyFormat.FILE;
const TAR = CopyFormat.TAR;

const at = { sandboxId: "box", containerId: "c1" };
const stopped = { sandboxId: "box", containerId: "c2" };
const id = () => ({ requestId: randomUUID() });
let stack: Stack;

const inBox = async (script: string): Promise<string> => {
  const { stdout, stderr, status } = await exec(stack.client, ["sh", "-c", script], at);
  assert.equal(status.code, 0, stderr);
  return stdout;
};

before(async () => {
  stack = await Stack.start({ PADDOCK_DEFAULT_MEMORY_BYTES: String(256 * MIB) });
  const image = await stack.tinyImage();
  const writableLayerBytes = BigInt(2 * SIZE_MIB * MIB + ROOM_BYTES);
  const containers = [
    { containerId: "c1", image, process: idle, writableLayerBytes },
    { containerId: "c2", image, process: { args: ["sh", "-c", "mkdir /d && echo kept >/d/f"] } },
  ];
  await stack.client.sandboxes.runSandbox(
    { ...id(), sandboxId: "box", spec: { containers } },
    { deadline: inSeconds(90) },
  );
  await stack.client.files.makeDirectory({ ...id(), ...at, path: "/contract" });
});
after(() => stack?.[Symbol.asyncDispose]());

/** Restarts a service. */
async function restart(service: "api" | "node"): Promise<void> {
  if (service === "api") {
    await stack.killApi();
    await stack.startApi();
  } else {
    await stack.killNode();
    await stack.startNode();
  }
}

/** Kills the api, and then the node, when an eighth and a quarter of `total` bytes are copied, and continues the copy each time. */
class Killing {
  readonly killed: string[] = [];
  breaks = 0;
  #restarted = Promise.resolve();
  readonly #total: number;

  constructor(total: number) {
    this.#total = total;
  }

  readonly copied = (bytes: number): void => {
    const service = (["api", "node"] as const)[this.killed.length];
    if (service === undefined || bytes * 8 < (this.killed.length + 1) * this.#total) return;
    this.killed.push(service);
    this.#restarted = restart(service);
  };

  async persist<T>(copy: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const copied = await copy();
        await this.#restarted;
        return copied;
      } catch (error) {
        if (!(error instanceof PaddockError) || error.kind !== "unavailable" || this.breaks > 50) throw error;
        this.breaks += 1;
        await this.#restarted;
        await pause(error.retryAfterMs ?? 100);
      }
    }
  }
}

fileContract("the contract of files, with the real guest", async () => ({
  files: stack.client.files,
  at,
  cut: () => restart("node"),
  [Symbol.asyncDispose]: async () => undefined,
}));

test("a large file goes both ways byte by byte while api and node are killed in the middle", async () => {
  const { files } = stack.client;
  const data = Buffer.concat(
    Array.from({ length: SIZE_MIB }, (_, index) =>
      Buffer.alloc(MIB, `${index}: ${"0123456789abcdef".repeat(3)}`),
    ),
  );
  const writing = new Killing(data.length);
  const start = { ...at, path: "/large", format: FILE, transferId: randomUUID() };
  await writing.persist(() =>
    copyIn(files, { ...start, resume: writing.breaks > 0 }, data, { onTaken: writing.copied }),
  );
  assert.ok(writing.killed.length === 2 && writing.breaks >= 2, `${writing.breaks} breaks`);
  assert.equal((await inBox("sha256sum /large")).split(" ")[0], sha256(data).toString("hex"));
  const reading = new Killing(data.length);
  const pieces: Uint8Array[] = [];
  const request = { ...at, path: "/large", format: FILE, transferId: randomUUID() };
  const bytes = () => pieces.reduce((sum, each) => sum + each.length, 0);
  const take = (piece: Uint8Array) => {
    pieces.push(piece);
    reading.copied(bytes());
  };
  const { end } = await reading.persist(() => copyOut(files, { ...request, offset: BigInt(bytes()) }, take));
  assert.ok(reading.killed.length === 2 && reading.breaks >= 2, `${reading.breaks} breaks`);
  assert.ok(Buffer.concat(pieces).equals(data));
  assert.deepEqual(Buffer.from(end.sha256), sha256(data));
  await inBox("rm /large");
});

test("a tree goes out and in as an archive, with modes, links and what they point to", async () => {
  await inBox(`
    mkdir -p /tree/a/b /copy && cd /tree && echo one >a/one && ln a/one a/b/hard && ln -s ../../../../etc/passwd a/out
    : >empty && chmod 4711 a/one && chmod 700 a/b && for i in $(seq 60); do echo $i >a/b/$i; done`);
  const { files } = stack.client;
  const out = await copyOut(files, { ...at, path: "/tree", format: TAR, transferId: randomUUID() });
  assert.deepEqual([out.file.name, out.file.type, out.end.skipped], ["tree", FileType.DIRECTORY, 0n]);
  assert.deepEqual(Buffer.from(out.end.sha256), sha256(out.bytes));
  const end = await copyIn(files, { ...at, path: "/copy", format: TAR, transferId: randomUUID() }, out.bytes);
  assert.equal(end.entries, out.end.entries);
  const look = (root: string) =>
    inBox(
      `cd ${root} && find . -exec stat -c '%n %F %a %h %u:%g %N' {} + | sort && find . -type f -exec sha256sum {} + | sort`,
    );
  assert.equal(await look("/copy/tree"), await look("/tree"));
});

test("a path never leads out of the container, by links, dots or archives", async () => {
  await inBox("ln -s ../../../../../../.. /up && ln -s /etc /abs && mkdir -p /etc");
  const { files } = stack.client;
  const list = async (path: string) =>
    (await files.listFiles({ ...at, path, pageSize: 1000 })).files.map(({ name }) => name).sort();
  const root = await list("/");
  assert.ok(root.includes("abs"));
  for (const path of ["/up", "/../../..", "../..", "/up/up/../up"])
    assert.deepEqual(await list(path), root, path);
  const put = (path: string) =>
    copyIn(files, { ...at, path, format: FILE, transferId: randomUUID() }, Buffer.from(path));
  await put("/abs/new");
  await put("/up/up/top");
  assert.equal(await inBox("cat /etc/new /top"), "/abs/new/up/up/top");
  assert.equal((await files.statFile({ ...at, path: "/abs" })).file?.linkTarget, "/etc");
  assert.equal((await files.statFile({ ...at, path: "/abs", follow: true })).file?.type, FileType.DIRECTORY);
  await files.removeFile({ ...id(), ...at, path: "/abs" });
  assert.equal(await inBox("cat /etc/new"), "/abs/new");
  const archive = copyIn(
    files,
    { ...at, path: "/", format: TAR, transferId: randomUUID() },
    Buffer.alloc(2048, "x"),
  );
  await assert.rejects(
    archive,
    (error) => error instanceof PaddockError && error.kind === "invalid_argument",
  );
});

test("a container's full disk is DISK_FULL, leaves the former file, and has its space afterwards", async () => {
  const { files } = stack.client;
  const put = (data: Buffer) =>
    copyIn(files, { ...at, path: "/full", format: FILE, transferId: randomUUID() }, data);
  await put(Buffer.from("former"));
  await assert.rejects(put(Buffer.alloc(2 * SIZE_MIB * MIB + ROOM_BYTES + MIB)), (error) => {
    assert.ok(error instanceof PaddockError && error.kind === "resource_exhausted", String(error));
    return error.reason === "DISK_FULL";
  });
  assert.equal(await inBox("cat /full"), "former");
  await put(Buffer.alloc(4 * MIB));
});

test("files of a stopped container are read, written, watched and there at its next start", async () => {
  const { files, containers } = stack.client;
  const file = { ...stopped, path: "/d/f", format: FILE };
  assert.equal((await copyOut(files, file)).bytes.toString(), "kept\n");
  const watch = files.watchFiles({ ...stopped, path: "/d", recursive: true });
  const messages = watch[Symbol.asyncIterator]();
  assert.equal((await messages.next()).value?.message.case, "started");
  await files.makeDirectory({ ...id(), ...stopped, path: "/d/e" });
  await copyIn(
    files,
    { ...stopped, path: "/d/e/g", format: FILE, transferId: randomUUID() },
    Buffer.from("new"),
  );
  for (let isThere = false; !isThere; ) {
    const message = (await messages.next()).value?.message;
    assert.ok(message?.case === "change");
    const { path, kind } = message.value;
    isThere = path === "e/g" && (kind === FileChangeKind.CREATED || kind === FileChangeKind.WRITTEN);
  }
  watch.cancel();
  await files.removeFile({ ...id(), ...stopped, path: "/d/f" });
  // The command of the container fails when its directory exists.
  await containers.startContainer({ ...id(), ...stopped });
  assert.equal((await copyOut(files, { ...stopped, path: "/d/e/g", format: FILE })).bytes.toString(), "new");
});

test("a stopped sandbox ends its copies, and refuses new ones until it runs again", async () => {
  const { files, sandboxes } = stack.client;
  const watch = files.watchFiles({ ...at, path: "/" });
  const messages = watch[Symbol.asyncIterator]();
  assert.equal((await messages.next()).value?.message.case, "started");
  const ended = assert.rejects(async () => {
    while (!(await messages.next()).done);
  });
  await sandboxes.stopSandbox({ ...id(), sandboxId: "box" }, { deadline: inSeconds(60) });
  await ended;
  await assert.rejects(files.statFile({ ...at, path: "/" }), { reason: "WRONG_STATE" });
});
