import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ContainerSpecSchema } from "@paddock/protocol";
import { newContainer } from "../lifecycle/create-sandbox.ts";
import { machineDisks } from "../record/container-disks.ts";
import type { ContainerPlace } from "../record/container-place.ts";
import { fakeImage } from "../testing/fake-image.ts";
import { newVmId, vmPaths } from "../vm/vm-paths.ts";
import { checkContainerSpec, guestContainer } from "./guest-container.ts";

const image = fakeImage();
const place = { index: 0, targets: { image: 0, layer: 1 } };
const container = (init: object, at: ContainerPlace = place) =>
  newContainer(create(ContainerSpecSchema, { containerId: "c1", image: "tiny", ...init }), image, at, "r1", {
    nowMs: () => 0,
    newId: () => "i1",
  });
const vm = vmPaths("/state", newVmId());

test("a container has its image and its writable layer as two disks of its own", () => {
  const third = { index: 3, targets: { image: 6, layer: 7 } };
  const { rootfs } = guestContainer(container({}, third), image.config);
  assert.equal(rootfs?.lower?.target, 6);
  assert.equal(rootfs?.upper?.target, 7);
  const disks = machineDisks(container({}, third), "/images/x", vm);
  assert.deepEqual(
    disks.map(({ id, target, readOnly }) => [id, target, readOnly]),
    [
      ["image3", 6, true],
      ["layer3", 7, false],
    ],
  );
});

test("a read-only root file system has no writable layer", () => {
  const record = container({ readOnlyRootfs: true }, { index: 0, targets: { image: 0 } });
  assert.equal(guestContainer(record, image.config).rootfs?.upper, undefined);
  assert.equal(machineDisks(record, "/images/x", vm).length, 1);
});

test("a mount of a host directory has the tag of the VM's share of that directory, and needs one", () => {
  const source = { case: "hostDirectory", value: { path: "/h/a/" } } as const;
  const record = container({ mounts: [{ destination: "/work", readOnly: true, source }] });
  const share = { index: 2, tag: "host2", path: "/h/a", readOnly: true };
  const [mounted] = guestContainer(record, image.config, { shares: [share] }).mounts;
  assert.equal(mounted?.readOnly, true);
  assert.ok(mounted.source.case === "virtiofs");
  assert.equal(mounted.source.value.tag, "host2");
  for (const others of [[], [{ ...share, readOnly: false }]])
    assert.throws(() => checkContainerSpec(record.spec, image.config, others), { reason: "WRONG_STATE" });
});

test("mounts of a volume name the disk that the sandbox has for it, and its rates are limited", () => {
  const mounts = [
    { destination: "/data", source: { case: "volume", value: { name: "v" } } },
    { destination: "/again", source: { case: "volume", value: { name: "v" } }, readOnly: true },
  ];
  const record = container({ mounts, resources: { io: { readBytesPerSecond: 1000n } } });
  checkContainerSpec(record.spec, image.config);
  const volumes = [{ volume: "v", target: 9, readOnly: false }];
  const request = guestContainer(record, image.config, { volumes });
  assert.deepEqual(
    request.mounts.map(({ source, readOnly }) => [
      source.case === "disk" && [source.value.disk?.target, source.value.fstype],
      readOnly,
    ]),
    [
      [[9, "ext4"], false],
      [[9, "ext4"], true],
    ],
  );
  assert.deepEqual(
    request.resources?.disks.map(({ target }) => target),
    [0, 1, 9],
  );
});
