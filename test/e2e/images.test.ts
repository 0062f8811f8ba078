import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { directory, file, ociFiles, symlink, tarOf } from "../../libs/images/src/testing/build-archive.ts";
import { tinyImage } from "../fixtures/tiny-image.ts";
import { exec } from "../harness/exec.ts";
import { runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

let stack: Stack;
let scratch: string;
const id = () => ({ requestId: randomUUID() });

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "images-"));
  stack = await Stack.start();
});
after(async () => {
  await stack?.[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

async function imported(archive: Uint8Array) {
  const path = join(scratch, `${randomUUID()}.tar`);
  writeFileSync(path, archive);
  return await stack.importImage(path);
}

const oci = async (layers: Buffer[]) =>
  await tarOf([...ociFiles({ layers })].map(([name, content]) => file(name, content)));

const good = await tarOf([directory("etc"), file("etc/hostname", "x".repeat(200_000))]);

const refusals: Record<string, { archive: () => Promise<Buffer>; reason: string }> = {
  "that is not an archive": {
    archive: async () => Buffer.from("hello".repeat(1000)),
    reason: "INVALID_ARCHIVE",
  },
  "that is cut short": {
    archive: async () => {
      const whole = await oci([good]);
      return whole.subarray(0, whole.length / 2);
    },
    reason: "INVALID_ARCHIVE",
  },
  "with an absolute path with .. in a layer": {
    archive: async () => oci([good, await tarOf([file("/etc/../../evil")])]),
    reason: "UNSAFE_PATH",
  },
  "with .. in a layer": {
    archive: async () => oci([good, await tarOf([file("../../evil")])]),
    reason: "UNSAFE_PATH",
  },
  "with a file through a symlink out of the image": {
    archive: async () => oci([await tarOf([symlink("out", "/tmp"), file("out/evil")])]),
    reason: "UNSAFE_PATH",
  },
  "whose layer does not match its digest": {
    archive: async () => {
      const files = [...ociFiles({ layers: [good] })];
      const [layer] = files.sort(([, a], [, b]) => b.length - a.length);
      const entries = files.map(([name, content]) =>
        file(
          name,
          name === layer?.[0] ? Buffer.concat([content.subarray(0, -1), Buffer.from("!")]) : content,
        ),
      );
      return await tarOf(entries);
    },
    reason: "DIGEST_MISMATCH",
  },
};

for (const [what, { archive, reason }] of Object.entries(refusals)) {
  test(`an image ${what} is refused, and leaves nothing`, async () => {
    const before = globSync("images/**", { cwd: stack.stateDirectory }).sort();
    await assert.rejects(imported(await archive()), { reason });
    assert.deepEqual(globSync("images/**", { cwd: stack.stateDirectory }).sort(), before);
    const { images } = await stack.client.images.listImages({});
    assert.deepEqual(images, []);
  });
}

test("two imports of an image give one image, which is listed, used, kept while it is in use, and deleted", async () => {
  const archive = await tinyImage();
  const first = await stack.importImage(archive);
  assert.equal((await stack.importImage(archive)).imageId, first.imageId);
  const { images } = await stack.client.images.listImages({});
  assert.deepEqual(
    images.map((image) => [image.imageId, image.names, image.nodeIds]),
    [[first.imageId, ["paddock/tiny:latest"], ["n1"]]],
  );
  await runIdle(stack, "uses", { image: "paddock/tiny:latest" });
  await assert.rejects(stack.client.images.deleteImage({ ...id(), image: first.imageId }), {
    reason: "IMAGE_IN_USE",
  });
  await stack.client.sandboxes.deleteSandbox(
    { ...id(), sandboxId: "uses", force: true },
    { deadline: inSeconds(60) },
  );
  const short = first.imageId.slice("sha256:".length, "sha256:".length + 12);
  assert.equal((await stack.client.images.deleteImage({ ...id(), image: short })).imageId, first.imageId);
  assert.deepEqual((await stack.client.images.listImages({})).images, []);
});

test("a container cannot change the image of the next container", async () => {
  await stack.importImage(await tinyImage());
  await runIdle(stack, "writer", { image: "paddock/tiny:latest" });
  const [blob = ""] = globSync("images/**/*.squashfs", { cwd: stack.stateDirectory });
  const before = readFileSync(join(stack.stateDirectory, blob));
  const at = { sandboxId: "writer", containerId: "c1" };
  const wrote = await exec(
    stack.client,
    ["sh", "-c", "echo evil > /bin/ls; rm -rf /etc; sync; echo done"],
    at,
  );
  assert.equal(wrote.stdout, "done\n");
  assert.ok(before.equals(readFileSync(join(stack.stateDirectory, blob))));
  await runIdle(stack, "reader", { image: "paddock/tiny:latest" });
  const seen = await exec(stack.client, ["ls", "-d", "/etc"], { sandboxId: "reader", containerId: "c1" });
  assert.equal(seen.stdout, "/etc\n");
});

test("the writable layer is limited: writes beyond it fail in the container, and the sandbox continues", async () => {
  await runIdle(stack, "small", { image: "paddock/tiny:latest", writableLayerBytes: 16n << 20n });
  const at = { sandboxId: "small", containerId: "c1" };
  const full = await exec(stack.client, ["sh", "-c", "dd if=/dev/zero of=/big bs=1M count=64"], at);
  assert.notEqual(full.status.code, 0);
  assert.match(full.stderr, /No space left/);
  assert.equal((await exec(stack.client, ["echo", "alive"], at)).stdout, "alive\n");
});
