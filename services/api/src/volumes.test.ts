import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  CreateSandboxResponseSchema,
  CreateVolumeResponseSchema,
  DeleteVolumeResponseSchema,
  GetVolumeResponseSchema,
  ListVolumesResponseSchema,
  NodeService,
  ResizeVolumeResponseSchema,
  SandboxService,
  VolumeService,
} from "@paddock/protocol";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, eventually } from "./testing/api-bench.ts";
import type { FakeNode } from "./testing/fake-node.ts";

let bench: ApiBench;
let n1: FakeNode;
let n2: FakeNode;
before(async () => {
  bench = await ApiBench.start(startNats);
  n1 = await bench.node("n1");
  n2 = await bench.node("n2");
  // Busier, so that n1 is the first choice.
  await n2.beat(8n * 1024n ** 3n);
  await eventually(async () => {
    const { nodes } = await bench.connection.service(NodeService).listNodes({});
    assert.deepEqual(
      nodes.map(({ allocated }) => allocated?.memoryBytes),
      [0n, 8n * 1024n ** 3n],
    );
  });
});
after(() => bench[Symbol.asyncDispose]());
afterEach(() => {
  for (const node of [n1, n2]) {
    node.commands = {};
    node.seen.length = 0;
  }
});

const volumes = () => bench.connection.service(VolumeService);
const asked = (node: FakeNode) => node.seen.map(({ method }) => method.split("/")[1]);
const noVolume = (name: string) => new PaddockError("VOLUME_NOT_FOUND", `no volume ${name}`);

/** A node that has these volumes, and takes others. */
function has(node: FakeNode, ...names: string[]): void {
  const { nodeId } = node;
  const known = new Set(names);
  const done = new Map<string, string>();
  const require = (name: string) => {
    if (!known.has(name)) throw noVolume(name);
    return { volume: { name, nodeId } };
  };
  node.commands.getVolume = async ({ name }) => create(GetVolumeResponseSchema, require(name));
  node.commands.resizeVolume = async ({ name }) => create(ResizeVolumeResponseSchema, require(name));
  node.commands.listVolumes = async ({ pageToken }) => {
    const left = [...known].sort().filter((name) => name > pageToken);
    return create(ListVolumesResponseSchema, {
      volumes: left.slice(0, 2).map((name) => ({ name, nodeId })),
      nextPageToken: left.length > 2 ? (left[1] ?? "") : "",
    });
  };
  node.commands.createVolume = async ({ name, requestId }) => {
    if (known.has(name) && done.get(name) !== requestId) throw new PaddockError("VOLUME_EXISTS", "it exists");
    known.add(name);
    done.set(name, requestId);
    return create(CreateVolumeResponseSchema, { volume: { name, nodeId } });
  };
  node.commands.deleteVolume = async ({ name, requestId }) => {
    if (done.get(requestId) !== name) require(name);
    done.set(requestId, name);
    known.delete(name);
    return create(DeleteVolumeResponseSchema);
  };
}

test("a volume is created on the node that is named, on that of its source, or on the emptiest with room", async () => {
  has(n1);
  has(n2, "there");
  const made = async (request: object) => (await volumes().createVolume(request)).volume?.nodeId;
  assert.equal(await made({ requestId: "c1", name: "a" }), "n1");
  assert.equal(await made({ requestId: "c2", name: "b", nodeId: "n2" }), "n2");
  assert.equal(await made({ requestId: "c3", name: "c", source: "there" }), "n2");
  await assert.rejects(made({ requestId: "c4", name: "d", source: "there", nodeId: "n1" }), {
    reason: "INVALID_FIELD",
  });
  await assert.rejects(made({ requestId: "c5", name: "d", nodeId: "n9" }), { reason: "NODE_NOT_FOUND" });
  await assert.rejects(made({ requestId: "c6", name: "d", source: "nowhere" }), {
    reason: "VOLUME_NOT_FOUND",
  });
  n1.commands.createVolume = async () => {
    throw new PaddockError("NO_DISK_SPACE", "it is full");
  };
  assert.equal(await made({ requestId: "c7", name: "e" }), "n2");
});

test("a name is taken on every node, and a repeat is answered by the node that has the volume", async () => {
  has(n1);
  has(n2, "taken");
  await assert.rejects(volumes().createVolume({ requestId: "d1", name: "taken" }), {
    reason: "VOLUME_EXISTS",
  });
  assert.ok(!asked(n1).includes("CreateVolume"));
  await volumes().createVolume({ requestId: "d2", name: "mine", nodeId: "n2" });
  const again = await volumes().createVolume({ requestId: "d2", name: "mine", nodeId: "n2" });
  assert.equal(again.volume?.nodeId, "n2");
  const { volume } = await volumes().createVolume({ requestId: "d3" });
  const repeat = await volumes().createVolume({ requestId: "d3" });
  assert.match(volume?.name ?? "", /^[0-9a-f-]{36}$/);
  assert.equal(repeat.volume?.name, volume?.name);
});

test("volumes of all nodes are listed by name, found, resized and deleted, and a repeated deletion succeeds", async () => {
  has(n1, "a", "c", "e");
  has(n2, "b", "d");
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await volumes().listVolumes({ pageSize: 2, pageToken });
    seen.push(...page.volumes.map(({ name }) => name));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(seen, ["a", "b", "c", "d", "e"]);
  assert.equal((await volumes().getVolume({ name: "d" })).volume?.nodeId, "n2");
  const sizeBytes = 1n << 30n;
  const resized = await volumes().resizeVolume({ requestId: "r1", name: "b", sizeBytes });
  assert.equal(resized.volume?.nodeId, "n2");
  await volumes().deleteVolume({ requestId: "x1", name: "b" });
  await volumes().deleteVolume({ requestId: "x1", name: "b" });
  await assert.rejects(volumes().deleteVolume({ requestId: "x2", name: "b" }), {
    reason: "VOLUME_NOT_FOUND",
  });
  await assert.rejects(volumes().getVolume({ name: "b" }), { reason: "VOLUME_NOT_FOUND" });
  n1.commands.deleteVolume = async () => {
    throw new PaddockError("VOLUME_IN_USE", "sandbox s uses it");
  };
  await assert.rejects(volumes().deleteVolume({ requestId: "x3", name: "a" }), { reason: "VOLUME_IN_USE" });
});

test("a node that does not answer is named in the list, and a volume that it may have is not NOT_FOUND", async () => {
  has(n1, "a");
  const silent = async () => {
    throw new PaddockError("SHUTTING_DOWN", "it stops");
  };
  n2.commands = { getVolume: silent, listVolumes: silent, deleteVolume: silent };
  const { volumes: listed, unreachableNodes } = await volumes().listVolumes({});
  assert.deepEqual([listed.map(({ name }) => name), unreachableNodes], [["a"], ["n2"]]);
  await assert.rejects(volumes().getVolume({ name: "b" }), { reason: "NODE_UNAVAILABLE" });
  await assert.rejects(volumes().deleteVolume({ requestId: "y1", name: "b" }), {
    reason: "NODE_UNAVAILABLE",
  });
});

test("a sandbox is placed on the node of its volumes, and refused when they are on different nodes or on none", async () => {
  has(n1, "a");
  has(n2, "b", "c");
  for (const { commands, nodeId } of [n1, n2])
    commands.createSandbox = async ({ sandboxId }) =>
      create(CreateSandboxResponseSchema, { sandbox: { sandboxId, nodeId } });
  const placed = async (sandboxId: string, ...names: string[]) => {
    const mounts = names.map((name) => ({
      destination: `/mnt/${name}`,
      source: { case: "volume", value: { name } } as const,
    }));
    const spec = { containers: [{ containerId: "c1", image: "x", mounts }] };
    const sandboxes = bench.connection.service(SandboxService);
    return (await sandboxes.createSandbox({ requestId: `by-${sandboxId}`, sandboxId, spec })).sandbox?.nodeId;
  };
  assert.equal(await placed("s0"), "n1");
  assert.equal(await placed("s1", "b", "c"), "n2");
  await assert.rejects(placed("s2", "a", "b"), { reason: "INVALID_FIELD", message: /node n1.*node n2/ });
  await assert.rejects(placed("s3", "nowhere"), { reason: "VOLUME_NOT_FOUND" });
  assert.equal(await placed("s3", "a"), "n1");
});
