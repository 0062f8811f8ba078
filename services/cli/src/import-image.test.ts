import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { ImageFormat, ImageService, ImportPhase, type ImportStart } from "@paddock/protocol";
import { cli, startCli } from "./testing/run-in-process.ts";

const directory = await mkdtemp(join(tmpdir(), "paddock-import-"));
after(() => rm(directory, { recursive: true }));

type Received = AsyncDisposable & { api: FakeApi; start: ImportStart | undefined; bytes: Buffer };

async function receiver(warnings: string[] = []): Promise<Received> {
  const api = await FakeApi.start();
  const received: Received = {
    api,
    start: undefined,
    bytes: Buffer.alloc(0),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
  api.duplex(ImageService.method.importImage, async ({ requests, send }) => {
    const pieces: Uint8Array[] = [];
    for await (const { message } of requests) {
      if (message.case === "start") received.start = message.value;
      if (message.case === "data") {
        assert.ok(message.value.length <= 1024 * 1024);
        pieces.push(message.value);
      }
    }
    received.bytes = Buffer.concat(pieces);
    send({
      message: { case: "progress", value: { phase: ImportPhase.CONVERT, doneBytes: 1n, totalBytes: 2n } },
    });
    send({
      message: {
        case: "image",
        value: { imageId: `sha256:${"a".repeat(64)}`, names: ["tiny:1"], sizeBytes: 2048n },
      },
      warnings,
    });
  });
  return received;
}

test("import sends a whole file and prints the image's id", async () => {
  await using received = await receiver();
  const file = join(directory, "image.tar");
  const content = randomBytes(3_000_000);
  await writeFile(file, content);
  const { code, out, err } = await cli(received.api, ["image", "import", "--name", "tiny:1", file]);
  assert.deepEqual({ code, out }, { code: 0, out: `sha256:${"a".repeat(64)}\n` });
  assert.match(err, /^✓ imported tiny:1 \(2\.00KiB on the node\)/);
  assert.deepEqual(received.bytes, content);
  assert.equal(received.start?.totalBytes, 3_000_000n);
  assert.equal(received.start?.name, "tiny:1");
});

test("import prints warnings about an image to stderr, without control characters", async () => {
  await using received = await receiver(['only root can read "/"', "Env holds \u001b[2J"]);
  const file = join(directory, "odd.tar");
  await writeFile(file, "an archive");
  const { code, out, err } = await cli(received.api, ["image", "import", file]);
  assert.deepEqual({ code, out }, { code: 0, out: `sha256:${"a".repeat(64)}\n` });
  assert.match(err, /\nnote: only root can read "\/"\nnote: Env holds/);
  assert.ok(!err.includes("\u001b[2J"));
});

test("import takes an archive from stdin", async () => {
  await using received = await receiver();
  const run = startCli(received.api, ["-q", "image", "import", "-"]);
  run.stdin.end("an archive");
  assert.equal(await run.exit, 0);
  assert.equal(received.bytes.toString(), "an archive");
  assert.equal(received.start?.totalBytes, 0n);
});

test("import packs a directory as a root file system named after it", async () => {
  await using received = await receiver();
  const rootfs = join(directory, "My Rootfs");
  await mkdir(join(rootfs, "etc"), { recursive: true });
  await writeFile(join(rootfs, "etc/motd"), "hi\n");
  assert.equal((await cli(received.api, ["image", "import", rootfs])).code, 0);
  assert.equal(received.start?.format, ImageFormat.ROOTFS);
  assert.equal(received.start?.name, "my-rootfs");
  const list = execFileSync("tar", ["--list"], { input: received.bytes, encoding: "utf8" });
  assert.match(list, /\.\/etc\/motd\n/);
});

test("import distinguishes a directory with an OCI image layout from a root file system", async () => {
  await using received = await receiver();
  const layout = join(directory, "layout");
  await mkdir(layout);
  await writeFile(join(layout, "oci-layout"), "{}");
  assert.equal((await cli(received.api, ["image", "import", layout])).code, 0);
  assert.equal(received.start?.format, ImageFormat.OCI);
});

test("import reports the api's refusal even while the source still has bytes", async () => {
  await using api = await FakeApi.start();
  api.duplex(ImageService.method.importImage, async () => {
    throw new PaddockError("INVALID_ARCHIVE", "the archive is cut short at byte 512");
  });
  const run = startCli(api, ["image", "import", "-"]);
  run.stdin.write("half an arch");
  assert.equal(await run.exit, 1);
  assert.match(run.err(), /error: cannot import stdin: the archive is cut short at byte 512/);
});

test("import of a missing file is a usage error", async () => {
  const { code, err } = await cli(undefined, ["image", "import", join(directory, "none.tar")]);
  assert.equal(code, 2);
  assert.match(err, /there is no file/);
});
