import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { VolumeService } from "@paddock/protocol";
import { type FakeVolumes, serveVolumes } from "../testing/fake-volumes.ts";
import { cli } from "../testing/run-in-process.ts";

const GIB = 1024n ** 3n;

const VOLUMES = [
  {
    name: "data",
    nodeId: "n1",
    sizeBytes: 2n * GIB,
    usedBytes: 3n * 1024n ** 2n,
    labels: { team: "web" },
    createdAt: { seconds: 1_769_860_800n },
    users: [{ sandboxId: "web" }, { sandboxId: "report", readOnly: true }],
  },
  { name: "idle", nodeId: "n2", sizeBytes: GIB, labels: { team: "db" } },
  { name: "made-up", nodeId: "n1", sizeBytes: GIB, labels: { "paddock.anonymous": "" } },
];

type Fixture = AsyncDisposable & { readonly api: FakeApi; readonly volumes: FakeVolumes };

async function fixture(): Promise<Fixture> {
  const api = await FakeApi.start();
  const volumes = serveVolumes(api, VOLUMES);
  return { api, volumes, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

test("volume create sends size, labels, source and node, and prints the name", async () => {
  await using f = await fixture();
  const options = ["--size", "1.5g", "-l", "a=b", "--label", "c", "--from", "idle", "--node", "n2"];
  const { code, out, err } = await cli(f.api, ["volume", "create", "copy", ...options]);
  assert.deepEqual([code, out], [0, "copy\n"]);
  assert.match(err, /^✓ created volume copy \(1\.50GiB\)/);
  const [asked] = f.volumes.created;
  assert.deepEqual([asked?.name, asked?.source, asked?.nodeId], ["copy", "idle", "n2"]);
  assert.equal(asked?.sizeBytes, (3n * GIB) / 2n);
  assert.deepEqual({ ...asked?.labels }, { a: "b", c: "" });
});

test("volume create without a name leaves name, size and node to the api, and labels the volume", async () => {
  await using f = await fixture();
  const { out } = await cli(f.api, ["volume", "create", "-o", "json"]);
  assert.equal(JSON.parse(out).name, "generated");
  const [asked] = f.volumes.created;
  assert.deepEqual([asked?.name, asked?.sizeBytes, asked?.nodeId, asked?.source], ["", 0n, "", ""]);
  assert.deepEqual({ ...asked?.labels }, { "paddock.anonymous": "" });
});

test("volume ls shows the node, the sizes and the users of each volume", async () => {
  await using f = await fixture();
  const { out } = await cli(f.api, ["volume", "ls"]);
  assert.deepEqual(
    out
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {3,}/)),
    [
      ["NAME", "NODE", "SIZE", "USED", "USED BY"],
      ["data", "n1", "2.00GiB", "3.00MiB", "web, report (ro)"],
      ["idle", "n2", "1.00GiB", "0B", "-"],
      ["made-up", "n1", "1.00GiB", "0B", "-"],
    ],
  );
  const format = "{{.Name}} {{.Links}} {{.Labels}} {{.CreatedAt}}";
  assert.equal(
    (await cli(f.api, ["volume", "ls", "--format", format])).out.split("\n")[0],
    "data 2 team=web 2026-01-31T12:00:00.000Z",
  );
});

for (const { words, shows } of [
  { words: ["name=d"], shows: ["data", "idle", "made-up"] },
  { words: ["name=da"], shows: ["data"] },
  { words: ["label=team"], shows: ["data", "idle"] },
  { words: ["label=team=db"], shows: ["idle"] },
  { words: ["node=n1"], shows: ["data", "made-up"] },
  { words: ["dangling=true"], shows: ["idle", "made-up"] },
  { words: ["dangling=0"], shows: ["data"] },
  { words: ["node=n1", "dangling=true"], shows: ["made-up"] },
]) {
  test(`"volume ls -q" with the filters ${words.join(" and ")} shows ${shows.join(", ")}`, async () => {
    await using f = await fixture();
    const filters = words.flatMap((word) => ["-f", word]);
    const { code, out } = await cli(f.api, ["volume", "ls", "-q", ...filters]);
    assert.deepEqual([code, out.trimEnd().split("\n")], [0, shows]);
  });
}

test("volume ls names the nodes that do not answer", async () => {
  await using api = await FakeApi.start();
  api.unary(VolumeService.method.listVolumes, () => ({ unreachableNodes: ["n3"] }));
  const { code, err } = await cli(api, ["volume", "ls"]);
  assert.equal(code, 0);
  assert.match(err, /note: no answer from n3: volumes there are missing from this list/);
});

test("volume inspect shows the volumes that exist, and suggests a name for one that does not", async () => {
  await using f = await fixture();
  const { code, out, err } = await cli(f.api, ["volume", "inspect", "dta", "data"]);
  assert.equal(code, 1);
  assert.match(err, /there is no volume "dta"\nhint: did you mean data\?/);
  const [shown] = JSON.parse(out);
  assert.deepEqual(shown.users, [{ sandboxId: "web" }, { sandboxId: "report", readOnly: true }]);
});

test("volume resize sends the new size", async () => {
  await using f = await fixture();
  const { code, out, err } = await cli(f.api, ["volume", "resize", "data", "4g"]);
  assert.deepEqual([code, out], [0, "data\n"]);
  assert.match(err, /^✓ volume data has 4\.00GiB/);
  assert.equal(f.volumes.resized[0]?.sizeBytes, 4n * GIB);
});

test("volume rm deletes the others when one is in use, and fails for a missing one without -f", async () => {
  await using f = await fixture();
  const { code, out, err } = await cli(f.api, ["volume", "rm", "data", "idle", "gone"]);
  assert.deepEqual([code, out], [1, "idle\n"]);
  assert.match(err, /cannot delete volume "data": volume "data" is used by web/);
  assert.match(err, /cannot delete volume "gone"/);
  const forced = await cli(f.api, ["volume", "rm", "-f", "gone"]);
  assert.deepEqual([forced.code, forced.out], [0, "gone\n"]);
});

test("volume prune names what it would delete, and deletes with --force", async () => {
  await using f = await fixture();
  const { code, err } = await cli(f.api, ["volume", "prune", "--all"]);
  assert.equal(code, 2);
  assert.match(err, /this deletes idle, made-up, with all data\nhint: write --force/);
  assert.equal((await cli(f.api, ["volume", "prune", "-f"])).out, "made-up\n");
  assert.equal((await cli(f.api, ["volume", "prune", "-f"])).out, "");
  assert.equal(
    (await cli(f.api, ["volume", "prune", "-a", "-f", "--filter", "label=team=db"])).out,
    "idle\n",
  );
});

for (const { words, says } of [
  { words: ["create", "../x"], says: /"\.\.\/x" is not the name of a volume/ },
  { words: ["create", "x", "--size", "1m"], says: /--size: 1m is not a size for a volume\nhint: from "16m"/ },
  { words: ["create", "x", "--size", "17t"], says: /17t is not a size for a volume/ },
  { words: ["create", "x", "--from", ""], says: /--from: "" is not the name of a volume/ },
  { words: ["resize", "data", "much"], says: /"much" is not a size/ },
  { words: ["rm", "data", "a b"], says: /"a b" is not the name of a volume/ },
  { words: ["ls", "-f", "colour=red"], says: /"colour=red" is not a filter/ },
  { words: ["ls", "-f", "dangling=maybe"], says: /dangling is true or false/ },
  { words: ["ls", "-o", "json", "--format", "{{.Name}}"], says: /exclude each other/ },
]) {
  test(`"volume ${words.join(" ")}" is a usage error before anything is sent`, async () => {
    await using f = await fixture();
    const { code, err } = await cli(f.api, ["volume", ...words]);
    assert.deepEqual([code, f.api.calls], [2, []]);
    assert.match(err, says);
  });
}
