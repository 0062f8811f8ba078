import assert from "node:assert/strict";
import { test } from "node:test";
import { type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  ContainerState,
  ListImagesResponseSchema,
  type ListSandboxesResponse,
  ListSandboxesResponseSchema,
  type SandboxSpecSchema,
  SandboxState,
} from "@paddock/protocol";
import { fakeImage } from "../testing/fake-image.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const BUS_BYTES = 1024 * 1024;

type Spec = MessageInitShape<typeof SandboxSpecSchema>;

async function withSandboxes(...specs: Spec[]): Promise<TestNode> {
  const node = await TestNode.start();
  for (const [index, spec] of specs.entries())
    sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }, { sandboxId: `s${index}` }));
  return node;
}

/** All pages of the node's list. Asserts that each fits on the bus. */
async function listAll(node: TestNode): Promise<ListSandboxesResponse[]> {
  const pages: ListSandboxesResponse[] = [];
  for (let pageToken = ""; ; ) {
    const outcome = await node.ask({ case: "listSandboxes", value: { pageToken } });
    assert.ok(outcome.case === "listSandboxes");
    pages.push(outcome.value);
    const { length } = toBinary(ListSandboxesResponseSchema, outcome.value);
    assert.ok(length < BUS_BYTES, `a page has ${length} bytes`);
    pageToken = outcome.value.nextPageToken;
    if (pageToken === "") return pages;
  }
}

const notes = (character: string) =>
  Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`n${index}`, character.repeat(4096)]));

test("sandboxes with large annotations are listed on as many pages as the bus needs", async () => {
  const spec = { annotations: notes("é") };
  await using node = await withSandboxes(spec, spec, spec);
  const pages = await listAll(node);
  assert.deepEqual(
    pages.map(({ sandboxes }) => sandboxes.map(({ sandboxId }) => sandboxId)),
    [["s0"], ["s1"], ["s2"]],
  );
  for (const { sandboxes } of pages)
    assert.equal(Object.keys(sandboxes[0]?.spec?.annotations ?? {}).length, 64);
});

test("environments and arguments count in the size of a page", async () => {
  const process = {
    args: ["sh", "-c", "x".repeat(130_000)],
    env: ["A", "B", "C"].map((name) => `${name}=${"y".repeat(130_000)}`),
  };
  const spec = { containers: [{ containerId: "c1", image: "tiny", process }] };
  await using node = await withSandboxes(spec, spec, spec);
  const ids = (await listAll(node)).flatMap(({ sandboxes }) => sandboxes.map(({ sandboxId }) => sandboxId));
  assert.deepEqual(ids, ["s0", "s1", "s2"]);
});

test("a sandbox too large for an answer is listed without its spec, and the list continues", async () => {
  const containers = [{ containerId: "c1", image: "tiny" }];
  await using node = await withSandboxes({ containers }, { hostname: "next" });
  // An earlier daemon accepted it.
  node.context.sandboxes
    .require("s0")
    .update((record) => ({ ...record, spec: { ...record.spec, annotations: notes("😀") } }));
  const sandboxes = (await listAll(node)).flatMap((page) => page.sandboxes);
  assert.deepEqual(
    sandboxes.map(({ spec }) => spec?.hostname),
    [undefined, "next"],
  );
  assert.equal(sandboxes[0]?.status?.state, SandboxState.READY);
  assert.equal(sandboxes[0]?.status?.containers[0]?.state, ContainerState.READY);
});

test("images with large configs are all listed, on as many pages as the bus needs", async () => {
  const image = fakeImage();
  const sized = (digit: string, bytes: number) => ({
    ...image,
    id: `${image.id.slice(0, -1)}${digit}` as typeof image.id,
    config: { ...image.config, env: [`LARGE=${"x".repeat(bytes)}`] },
  });
  await using node = await TestNode.start();
  node.images = [sized("1", 600_000), sized("2", 2_000_000), sized("3", 600_000), sized("4", 1000)];
  const ids: string[][] = [];
  for (let pageToken = ""; ; ) {
    const outcome = await node.ask({ case: "listImages", value: { pageToken } });
    assert.ok(outcome.case === "listImages");
    assert.ok(toBinary(ListImagesResponseSchema, outcome.value).length < BUS_BYTES);
    ids.push(outcome.value.images.map(({ imageId }) => imageId.slice(-1)));
    pageToken = outcome.value.nextPageToken;
    if (pageToken === "") break;
  }
  assert.deepEqual(ids, [
    ["1", "2"],
    ["3", "4"],
  ]);
});
