import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type ImageStore, openImageStore, packTar } from "@paddock/images";
import { fromStatus } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const directory = { path: "etc", type: "directory", mode: 0o755, uid: 0, gid: 0, mtime: 0 } as const;

/** A prefix that the ids of two images share, found among at most 17. */
async function ambiguousBeginning(images: ImageStore): Promise<string> {
  const seen = new Set<string>();
  for (let index = 0; ; index++) {
    const config = { cmd: ["/init"], env: [`N=${index}`] };
    const { id } = await images.importStream(packTar([directory]), { format: "rootfs", config });
    const beginning = id.slice(0, "sha256:".length + 1);
    if (seen.has(beginning)) return beginning;
    seen.add(beginning);
  }
}

test("an invalid, an ambiguous and an unknown image name are refused with different reasons, and nothing is created", async () => {
  await using node = await TestNode.start();
  const root = await mkdtemp(join(tmpdir(), "paddock-images-"));
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(() => rm(root, { recursive: true, force: true }));
  const images = await openImageStore({ root });
  Object.assign(node.context, { images });
  const ambiguous = await ambiguousBeginning(images);
  const reasons = [
    [ambiguous, "AMBIGUOUS_REFERENCE"],
    ["UPPER!", "INVALID_REFERENCE"],
    ["nothing:1", "IMAGE_NOT_FOUND"],
  ] as const;
  const [image] = await images.list();
  const spec = { containers: [{ containerId: "c0", image: image?.id ?? "" }] };
  for (const [reference, reason] of reasons) {
    const containers = [...spec.containers, { containerId: "c1", image: reference }];
    const refused = await node.ask({ case: "createSandbox", value: { spec: { containers } } });
    assert.ok(refused.case === "error", reference);
    assert.equal(fromStatus(refused.value).reason, reason);
  }
  assert.deepEqual(node.leftovers(), []);
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  const before = node.leftovers();
  for (const [reference, reason] of reasons) {
    const commands = [
      { case: "createContainer", value: { spec: { containerId: "c1", image: reference } } },
      { case: "deleteImage", value: { image: reference } },
    ] as const;
    for (const command of commands) {
      const refused = await node.ask(command);
      assert.ok(refused.case === "error", reference);
      assert.equal(fromStatus(refused.value).reason, reason);
    }
  }
  assert.deepEqual(node.leftovers(), before);
});
