import assert from "node:assert/strict";
import { test } from "node:test";
import type { Digest } from "./digest.ts";
import { ImageNames } from "./image-names.ts";
import type { StoredImage } from "./image-record.ts";
import { ImageStore } from "./image-store.ts";
import { defaultImageLimits } from "./limits.ts";
import { parseImageName } from "./reference.ts";
import { StoreFiles } from "./store-files.ts";

const a: Digest = `sha256:${"a".repeat(64)}`;
const b: Digest = `sha256:${"b".repeat(64)}`;

test("a name refers to one image, and the names of an image are sorted", () => {
  const names = new ImageNames();
  for (const [text, id] of [
    ["two", a],
    ["one", a],
    ["three", b],
    ["two", b],
  ] as const)
    names.set(parseImageName(text), id);
  assert.deepEqual([names.of(a), names.of(b)], [["one:latest"], ["three:latest", "two:latest"]]);
  assert.equal(names.get(parseImageName("two")), b);
  names.delete(parseImageName("one"));
  assert.deepEqual([names.of(a), names.get(parseImageName("one"))], [[], undefined]);
});

/** Counts iterations over all images. */
class CountedImages extends Map<Digest, StoredImage> {
  walks = 0;
  override keys() {
    this.walks += 1;
    return super.keys();
  }
}

test("an image is found by id or name without an iteration over all images or names", (t) => {
  const images = new CountedImages();
  const names = new ImageNames();
  const image = (id: Digest): StoredImage => ({
    id,
    blob: id,
    sizeBytes: 1,
    contentBytes: 1,
    createdAt: "",
    importedAt: "",
    architecture: "amd64",
    layerCount: 1,
    droppedDevices: 0,
    warnings: [],
    config: {
      entrypoint: [],
      cmd: [],
      env: [],
      workingDir: "",
      user: "",
      stopSignal: "",
      exposedPorts: [],
      labels: {},
      volumes: [],
    },
  });
  for (const id of [a, b]) images.set(id, image(id));
  for (let number = 0; number < 100; number++) names.set(parseImageName(`name${number}`), b);
  names.set(parseImageName("one"), a);
  const walked = t.mock.method(names, Symbol.iterator);
  const store = new ImageStore(
    new StoreFiles("/none", () => undefined),
    { images, names },
    {
      limits: defaultImageLimits,
      architecture: "amd64",
      now: () => new Date(),
      convert: () => assert.fail(),
    },
  );
  for (const record of [store.get(a), store.find(a), store.find("a".repeat(64)), store.find("one")])
    assert.deepEqual([record?.id, record?.names], [a, ["one:latest"]]);
  assert.equal(store.get(b)?.names, store.get(b)?.names, "they are sorted once");
  assert.deepEqual([images.walks, walked.mock.callCount()], [0, 0]);
});
