import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ContainerSpecSchema } from "@paddock/protocol";
import { newContainer } from "../sandboxes/create-sandbox-entry.ts";
import { sandboxPaths } from "../sandboxes/sandbox-paths.ts";
import { fakeImage } from "../testing/fake-image.ts";
import { freeIndex, machineDisks } from "./container-disks.ts";
import { checkContainerSpec, guestContainer } from "./guest-container.ts";

const image = fakeImage();
const container = (init: object, index = 0) =>
  newContainer(
    create(ContainerSpecSchema, { containerId: "c1", image: "tiny", ...init }),
    image,
    index,
    "r1",
    { nowMs: () => 0, newId: () => "i1" },
  );

test("a container has its image and its writable layer as two disks of its own", () => {
  const { rootfs } = guestContainer(container({}, 3), image.config);
  assert.equal(rootfs?.lower?.target, 6);
  assert.equal(rootfs?.upper?.target, 7);
  const disks = machineDisks(container({}, 3), "/images/x", sandboxPaths("/state", "s1"));
  assert.deepEqual(
    disks.map(({ id, target, readOnly }) => [id, target, readOnly]),
    [
      ["image3", 6, true],
      ["layer3", 7, false],
    ],
  );
});

test("a read-only root file system has no writable layer", () => {
  const record = container({ readOnlyRootfs: true });
  assert.equal(guestContainer(record, image.config).rootfs?.upper, undefined);
  assert.equal(machineDisks(record, "/images/x", sandboxPaths("/state", "s1")).length, 1);
});

test("the number of a deleted container is used again", () => {
  assert.equal(freeIndex([{ index: 0 }, { index: 2 }]), 1);
});

test("a volume is refused before anything is touched", () => {
  const spec = create(ContainerSpecSchema, {
    containerId: "c1",
    mounts: [{ destination: "/data", source: { case: "volume", value: { name: "v" } } }],
  });
  assert.throws(() => checkContainerSpec(spec, image.config), { reason: "NOT_IMPLEMENTED" });
});
