import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import {
  ContainerService,
  type ContainerSpec,
  ContainerState,
  type CreateVolumeRequest,
  SandboxService,
  type SandboxSpec,
  SandboxState,
} from "@paddock/protocol";
import type { MountInit } from "../mounts/mount-place.ts";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { type FakeVolumes, serveVolumes } from "../testing/fake-volumes.ts";
import { cli } from "../testing/run-in-process.ts";

type Fixture = AsyncDisposable & {
  readonly api: FakeApi;
  readonly specs: (SandboxSpec | undefined)[];
  readonly containers: (ContainerSpec | undefined)[];
  readonly volumes: FakeVolumes;
};

async function fixture(existing: Readonly<Record<string, string>> = {}): Promise<Fixture> {
  const api = await FakeApi.start();
  const [specs, containers]: [Fixture["specs"], Fixture["containers"]] = [[], []];
  const note = ({ sandboxId, spec }: { sandboxId: string; spec?: SandboxSpec | undefined }) => {
    specs.push(spec);
    containers.push(spec?.containers[0]);
    return { sandbox: { sandboxId } };
  };
  api.unary(SandboxService.method.runSandbox, note).unary(SandboxService.method.createSandbox, note);
  api.unary(ContainerService.method.createContainer, ({ spec }) => {
    containers.push(spec);
    return {};
  });
  api.unary(ContainerService.method.startContainer, () => ({}));
  const volumes = serveVolumes(api, existing);
  return { api, specs, containers, volumes, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

const named = (requests: readonly CreateVolumeRequest[]) =>
  requests.map(({ name, nodeId }) => [name, nodeId] as const);

test("run and create put mounts into the spec, a directory before those below it", async () => {
  await using f = await fixture({ data: "n1" });
  const options = [
    ...["-v", "data:/srv/data/deep:ro", "--mount", "type=bind,source=/opt/x,target=/srv"],
    ...["--tmpfs", "/srv/data:size=1m", "--shm-size", "128m", "--read-only"],
  ];
  assert.equal((await cli(f.api, ["run", "-d", ...options, "tiny"])).code, 0);
  assert.equal((await cli(f.api, ["create", ...options, "tiny"])).code, 0);
  const [ran, created] = f.containers;
  assert.deepEqual(created?.mounts, ran?.mounts);
  assert.deepEqual(
    ran?.mounts.map(({ destination, source, readOnly }) => [destination, source.case, readOnly]),
    [
      ["/srv", "hostDirectory", false],
      ["/srv/data", "tmpfs", false],
      ["/srv/data/deep", "volume", true],
    ],
  );
  assert.deepEqual([ran?.readOnlyRootfs, ran?.writableLayerBytes], [true, 0n]);
  assert.deepEqual(
    f.specs.map((spec) => spec?.shmSizeBytes),
    [128n * 1024n ** 2n, 128n * 1024n ** 2n],
  );
  assert.deepEqual(f.volumes.created, []);
});

test("--disk sizes the writable layer", async () => {
  await using f = await fixture();
  assert.equal((await cli(f.api, ["run", "-d", "--disk", "2g", "tiny"])).code, 0);
  assert.equal(f.containers[0]?.writableLayerBytes, 2n * 1024n ** 3n);
});

test("a volume that does not exist is created on the node of the others, and told on stderr", async () => {
  await using f = await fixture({ data: "n2" });
  const mounts = ["-v", "cache:/cache", "-v", "data:/data", "-v", "cache:/again:ro"];
  const { code, out, err } = await cli(f.api, ["run", "-d", "--name", "web", ...mounts, "tiny"]);
  assert.deepEqual([code, out], [0, "web\n"]);
  assert.match(err, /^✓ created volume cache \(1\.00GiB\)\n/);
  assert.deepEqual(named(f.volumes.created), [["cache", "n2"]]);
  const quiet = await cli(f.api, ["-q", "run", "-d", "--name", "db", "-v", "one:/1", "-v", "two:/2", "tiny"]);
  assert.deepEqual([quiet.out, quiet.err], ["db\n", ""]);
  assert.deepEqual(named(f.volumes.created.slice(1)), [
    ["one", ""],
    ["two", "n1"],
  ]);
});

test("a volume of a container in a sandbox is created on the sandbox's node", async () => {
  await using f = await fixture();
  serveSandboxes(f.api, [fakeSandbox("web")]);
  const words = ["run", "-d", "--sandbox", "web", "--name", "helper", "-v", "cache:/cache", "tiny"];
  const { code, err } = await cli(f.api, words);
  assert.equal(code, 0, err);
  assert.deepEqual(named(f.volumes.created), [["cache", "host-1"]]);
  assert.equal(f.containers[0]?.mounts[0]?.destination, "/cache");
});

test("a volume that another client creates at the same time is taken", async () => {
  await using f = await fixture({ data: "n1" });
  f.volumes.hide("data");
  const { code, err } = await cli(f.api, ["run", "-d", "-v", "data:/data", "tiny"]);
  assert.equal(code, 0, err);
  assert.ok(!err.includes("created volume"), err);
});

for (const { words, says } of [
  { words: ["-v", "data"], says: /-v data is not a source and a destination\nhint: write NAME:DEST/ },
  { words: ["-v", "a:/x", "--tmpfs", "/x/"], says: /there are two mounts at \/x/ },
  { words: ["--disk", "1m"], says: /--disk 1m is out of range\nhint: from "4m"/ },
  { words: ["--read-only", "--disk", "1g"], says: /--read-only leaves nothing that --disk could size/ },
  { words: ["--shm-size", "65g"], says: /--shm-size 65g is out of range/ },
  {
    words: ["--sandbox", "web", "--shm-size", "1m"],
    says: /share the \/dev\/shm that it has\nhint: "--tmpfs/,
  },
  {
    words: Array.from({ length: 65 }, (_, i) => ["--tmpfs", `/t${i}`]).flat(),
    says: /there are 65 mounts, and a container can have 64/,
  },
]) {
  test(`"run ${words.slice(0, 4).join(" ")}" is refused before anything is sent`, async () => {
    await using f = await fixture();
    const { code, err } = await cli(f.api, ["run", ...words, "./missing.tar"]);
    assert.deepEqual([code, f.api.calls], [2, []]);
    assert.match(err, says);
  });
}

test("-v means a volume in run and create, and --verbose still has its long name there", async () => {
  await using f = await fixture();
  assert.match((await cli(f.api, ["run", "--help"])).out, /-v, --volume .*\n +--verbose /s);
  assert.match((await cli(f.api, ["ps", "--help"])).out, /-v, --verbose /);
  assert.equal((await cli(f.api, ["-v", "run", "-d", "--verbose", "-v", "a:/a", "tiny"])).code, 0);
});

test("inspect shows the mounts of a container, and ps its volumes", async () => {
  await using f = await fixture();
  const mounts: MountInit[] = [
    { destination: "/data", source: { case: "volume", value: { name: "data" } }, readOnly: true },
    { destination: "/src", source: { case: "hostDirectory", value: { path: "/srv" } } },
    { destination: "/run", source: { case: "tmpfs", value: {} } },
  ];
  const container = { containerId: "main", mounts };
  const status = {
    sandboxId: "web",
    state: SandboxState.RUNNING,
    containers: [{ containerId: "main", state: ContainerState.RUNNING }],
  };
  serveSandboxes(f.api, [{ sandboxId: "web", spec: { containers: [container] }, status }, fakeSandbox("db")]);
  f.api.unary(ContainerService.method.getContainer, ({ containerId }) => ({
    container: { containerId, spec: container, status: { containerId } },
  }));
  const [shown] = JSON.parse((await cli(f.api, ["inspect", "web/main"])).out);
  assert.equal(shown.containerId, "main");
  assert.deepEqual(shown.mounts[0], { destination: "/data", volume: { name: "data" }, readOnly: true });
  const { out } = await cli(f.api, ["ps", "--format", "{{.Names}} {{.Mounts}}"]);
  assert.equal(out, "web data,/srv\ndb \n");
  for (const value of ["data", "/srv", "/data", "/run"])
    assert.equal((await cli(f.api, ["ps", "-q", "-f", `volume=${value}`])).out, "web\n", value);
});
