import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  ContainerService,
  DeleteImageResponseSchema,
  ImageService,
  type ImportImageRequest,
  ImportImageResponseSchema,
  ImportPhase,
  ListContainersResponseSchema,
  ListImagesResponseSchema,
  ListSandboxesResponseSchema,
  LogLevel,
  NodeService,
  SandboxService,
  SetLogLevelResponseSchema,
  SystemService,
} from "@paddock/protocol";
import { containerKey } from "@paddock/rpc";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, eventually } from "./testing/api-bench.ts";
import type { FakeNode } from "./testing/fake-node.ts";
import { VERSION } from "./version.ts";

let bench: ApiBench;
let n1: FakeNode;
let n2: FakeNode;
before(async () => {
  bench = await ApiBench.start(startNats);
  n1 = await bench.node("n1");
  n2 = await bench.node("n2");
  await eventually(async () => assert.equal((await nodes().listNodes({})).nodes.length, 2));
});
after(() => bench[Symbol.asyncDispose]());

const sandboxes = () => bench.connection.service(SandboxService);
const images = () => bench.connection.service(ImageService);
const nodes = () => bench.connection.service(NodeService);

/** A node that has these sandboxes and lists at most two at a time. */
const holding =
  (...ids: string[]) =>
  async ({ pageToken }: { readonly pageToken: string }) => {
    const left = ids.filter((id) => id > pageToken);
    return create(ListSandboxesResponseSchema, {
      sandboxes: left.slice(0, 2).map((sandboxId) => ({ sandboxId })),
      nextPageToken: left.length > 2 ? (left[1] ?? "") : "",
    });
  };

test("sandboxes of all nodes are listed by id, page after page", async () => {
  n1.commands.listSandboxes = holding("a", "c", "e", "g");
  n2.commands.listSandboxes = holding("b", "d", "f");
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await sandboxes().listSandboxes({ pageSize: 3, pageToken });
    seen.push(...page.sandboxes.map(({ sandboxId }) => sandboxId));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(seen, ["a", "b", "c", "d", "e", "f", "g"]);
});

test("containers of all nodes are listed by sandbox and container, page after page", async () => {
  const answering =
    (...all: { sandboxId: string; containerId: string }[]) =>
    async ({ pageToken }: { readonly pageToken: string }) =>
      create(ListContainersResponseSchema, {
        containers: all.filter((container) => containerKey(container) > pageToken),
      });
  n1.commands.listContainers = answering(
    { sandboxId: "a", containerId: "y" },
    { sandboxId: "b", containerId: "x" },
  );
  n2.commands.listContainers = answering({ sandboxId: "a-b", containerId: "z" });
  const containers = bench.connection.service(ContainerService);
  const first = await containers.listContainers({ pageSize: 2 });
  const second = await containers.listContainers({ pageSize: 2, pageToken: first.nextPageToken });
  assert.deepEqual(
    [first, second].map((page) => page.containers.map(containerKey)),
    [["a y", "a-b z"], ["b x"]],
  );
  assert.equal(second.nextPageToken, "");
  await assert.rejects(containers.listContainers({ nodeId: "n9" }), { reason: "NODE_NOT_FOUND" });
});

test("an invalid page token is refused by its field", async () => {
  await assert.rejects(sandboxes().listSandboxes({ pageToken: "rubbish" }), { reason: "INVALID_FIELD" });
});

test("a list for one node asks only that node, and an unknown node is NOT_FOUND", async () => {
  n1.commands.listSandboxes = holding("a");
  n2.commands.listSandboxes = async () => assert.fail("n2 was asked");
  const page = await sandboxes().listSandboxes({ nodeId: "n1" });
  assert.deepEqual(
    page.sandboxes.map(({ sandboxId }) => sandboxId),
    ["a"],
  );
  await assert.rejects(sandboxes().listSandboxes({ nodeId: "n9" }), { reason: "NODE_NOT_FOUND" });
});

test("an image of several nodes is listed once, with its nodes and names", async () => {
  const image = (names: string[]) => async () =>
    create(ListImagesResponseSchema, { images: [{ imageId: "sha256:1", names }] });
  n1.commands.listImages = image(["b"]);
  n2.commands.listImages = image(["a", "b"]);
  const [only, ...others] = (await images().listImages({})).images;
  assert.equal(others.length, 0);
  assert.deepEqual(
    [only?.nodeIds, only?.names],
    [
      ["n1", "n2"],
      ["a", "b"],
    ],
  );
});

test("a node that cannot answer for its images is named, and does not fail the list", async () => {
  n1.commands.listImages = async () =>
    create(ListImagesResponseSchema, { images: [{ imageId: "sha256:1" }] });
  n2.commands.listImages = async () => {
    throw new PaddockError("SHUTTING_DOWN", "it goes");
  };
  const { images: listed, unreachableNodes } = await images().listImages({});
  assert.deepEqual([listed.map(({ imageId }) => imageId), unreachableNodes], [["sha256:1"], ["n2"]]);
});

test("an image is deleted on each node that has it; if no node has it, the call is NOT_FOUND", async () => {
  const missing = async () => {
    throw new PaddockError("IMAGE_NOT_FOUND", "not here");
  };
  n1.commands.deleteImage = async () => create(DeleteImageResponseSchema, { imageId: "sha256:1" });
  n2.commands.deleteImage = missing;
  assert.equal((await images().deleteImage({ requestId: "d", image: "x" })).imageId, "sha256:1");
  n1.commands.deleteImage = missing;
  await assert.rejects(images().deleteImage({ requestId: "d2", image: "x" }), { reason: "IMAGE_NOT_FOUND" });
  n1.commands.deleteImage = async () => {
    throw new PaddockError("IMAGE_IN_USE", "container c uses it");
  };
  await assert.rejects(images().deleteImage({ requestId: "d3", image: "x" }), { reason: "IMAGE_IN_USE" });
});

/**
 * A node that has these images. It removes the one whose id has the given prefix, as a node's store does, and remembers its
 * requests.
 */
const holdingImages = (node: FakeNode, images: { imageId: string; names?: string[] }[]) => {
  const done = new Map<string, string>();
  let left = images;
  node.commands.listImages = async () => create(ListImagesResponseSchema, { images: left });
  node.commands.deleteImage = async ({ image, requestId }) => {
    const isId = /^(sha256:|[0-9a-f]{12,}$)/.test(image);
    const found = left.find(({ imageId, names }) =>
      isId ? imageId.includes(image) : names?.includes(`${image}:latest`),
    );
    const imageId = done.get(requestId) ?? found?.imageId;
    if (imageId === undefined) throw new PaddockError("IMAGE_NOT_FOUND", "not here");
    done.set(requestId, imageId);
    left = left.filter((each) => each.imageId !== imageId);
    return create(DeleteImageResponseSchema, { imageId });
  };
};
const leftOn = async (nodeId: string) =>
  (await images().listImages({})).images
    .filter(({ nodeIds }) => nodeIds.includes(nodeId))
    .map(({ imageId }) => imageId);

test("an id prefix that matches different images on different nodes deletes none of them", async () => {
  holdingImages(n1, [{ imageId: "sha256:abcd000000001" }]);
  holdingImages(n2, [{ imageId: "sha256:abcd000000002" }]);
  for (const image of ["abcd00000000", "sha256:abc"])
    await assert.rejects(images().deleteImage({ requestId: "a1", image }), { reason: "AMBIGUOUS_REFERENCE" });
  assert.deepEqual(
    [await leftOn("n1"), await leftOn("n2")],
    [["sha256:abcd000000001"], ["sha256:abcd000000002"]],
  );
  assert.equal(
    (await images().deleteImage({ requestId: "a2", image: "abcd000000002" })).imageId,
    "sha256:abcd000000002",
  );
  assert.deepEqual([await leftOn("n1"), await leftOn("n2")], [["sha256:abcd000000001"], []]);
  const again = await images().deleteImage({ requestId: "a2", image: "abcd000000002" });
  assert.equal(again.imageId, "sha256:abcd000000002", "the same request has the same outcome");
});

test("a short name of hex digits is a name on every node, even if an id begins with it", async () => {
  holdingImages(n1, [{ imageId: "sha256:0001", names: ["cafe:latest"] }]);
  holdingImages(n2, [{ imageId: "sha256:cafe1" }]);
  assert.equal((await images().deleteImage({ requestId: "a3", image: "cafe" })).imageId, "sha256:0001");
  assert.deepEqual([await leftOn("n1"), await leftOn("n2")], [[], ["sha256:cafe1"]]);
});

const importing = (digests: Map<string, string>, nodeId: string) =>
  async function* (requests: AsyncIterable<ImportImageRequest>) {
    const hash = createHash("sha256");
    let doneBytes = 0n;
    for await (const { message } of requests) {
      if (message.case !== "data") continue;
      hash.update(message.value);
      doneBytes += BigInt(message.value.length);
      yield create(ImportImageResponseSchema, {
        message: { case: "progress", value: { phase: ImportPhase.RECEIVE, doneBytes } },
      });
    }
    digests.set(nodeId, hash.digest("hex"));
    yield create(ImportImageResponseSchema, {
      message: { case: "image", value: { imageId: "sha256:2", names: ["x"] } },
    });
  };

test("each warning of the nodes about an image is returned once, with the image", async () => {
  const finding = (warnings: string[]) =>
    async function* (requests: AsyncIterable<ImportImageRequest>) {
      for await (const _ of requests);
      const message = { case: "image", value: { imageId: "sha256:3" } } as const;
      yield create(ImportImageResponseSchema, { message, warnings });
    };
  n1.streams.importImage = finding(["the root is closed", "no variable"]);
  n2.streams.importImage = finding(["the root is closed"]);
  const call = images().importImage();
  await call.write({ message: { case: "start", value: { name: "odd" } } });
  call.end();
  const reported = (await Array.fromAsync(call)).at(-1);
  assert.equal(reported?.message.case, "image");
  assert.deepEqual(reported?.warnings, ["the root is closed", "no variable"]);
});

test("an image is imported unchanged on all nodes at once, with progress and then the image", async () => {
  const digests = new Map<string, string>();
  n1.streams.importImage = importing(digests, "n1");
  n2.streams.importImage = importing(digests, "n2");
  const call = images().importImage();
  const sent = createHash("sha256");
  const write = async () => {
    await call.write({ message: { case: "start", value: { name: "x" } } });
    for (let i = 0; i < 40; i++) {
      const data = new Uint8Array(256 * 1024).fill(i);
      sent.update(data);
      await call.write({ message: { case: "data", value: data } });
    }
    call.end();
  };
  const writing = write();
  const kinds = new Set<string | undefined>();
  let nodeIds: string[] = [];
  for await (const { message } of call) {
    kinds.add(message.case);
    if (message.case === "image") nodeIds = message.value.nodeIds;
  }
  await writing;
  const digest = sent.digest("hex");
  assert.deepEqual(Object.fromEntries(digests), { n1: digest, n2: digest });
  assert.deepEqual([...kinds].sort(), ["image", "progress"]);
  assert.deepEqual(nodeIds, ["n1", "n2"]);
});

test("an import fails with the error of the node that refuses it, and stops on the other nodes", async () => {
  const aborted = Promise.withResolvers<void>();
  n1.streams.importImage = () => {
    throw new PaddockError("INVALID_ARCHIVE", "not a tar");
  };
  n2.streams.importImage = async function* (_requests, ctx) {
    ctx.signal.addEventListener("abort", () => aborted.resolve());
    await aborted.promise;
    yield create(ImportImageResponseSchema);
  };
  const call = images().importImage();
  await call.write({ message: { case: "start", value: {} } });
  await assert.rejects(
    async () => {
      for await (const _ of call);
    },
    { reason: "INVALID_ARCHIVE" },
  );
  await aborted.promise;
});

test("the log level changes at the api and on the nodes, and nodes that fail are named", async () => {
  n1.commands.setLogLevel = async () => create(SetLogLevelResponseSchema);
  const system = bench.connection.service(SystemService);
  const answer = await system.setLogLevel({ level: LogLevel.WARN });
  assert.deepEqual([answer.nodeIds, answer.unreachableNodes], [["n1"], ["n2"]]);
  assert.equal(bench.app.log.level, "warn");
});

test("the api reports its version and its protocols", async () => {
  const { version, runtimeVersion, apiVersions } = await bench.connection
    .service(SystemService)
    .getVersion({});
  assert.deepEqual([version, runtimeVersion, apiVersions], [VERSION, process.version, ["paddock.v1"]]);
  assert.match(version, /^\d+\.\d+\.\d+/);
});

test("a list works without a node that has left, and names the node", async () => {
  n1.commands.listSandboxes = holding("a");
  await n2.closeCommands();
  const page = await sandboxes().listSandboxes({});
  assert.deepEqual(
    page.sandboxes.map(({ sandboxId }) => sandboxId),
    ["a"],
  );
  assert.deepEqual(page.unreachableNodes, ["n2"]);
});
