import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { ContainerService, NodeService, NodeState, SandboxService, SystemService } from "@paddock/protocol";
import { COMMANDS } from "./commands/all.ts";
import { fakeSandbox, serveSandboxes } from "./testing/fake-sandbox.ts";
import { cli } from "./testing/run-in-process.ts";

test("an unknown command exits with 2 and suggests a similar one", async () => {
  const { code, out, err } = await cli(undefined, ["rnu"]);
  assert.equal(code, 2);
  assert.equal(out, "");
  assert.match(err, /unknown command 'rnu'/);
  assert.match(err, /Did you mean run\?/);
});

test("the help of every command has at least one example", async () => {
  const { out } = await cli(undefined, ["--help"]);
  const names = [...out.matchAll(/^ {2}([a-z][a-z-]*)(?:\|[a-z]+)?(?: \[| +[a-z])/gm)].map(
    (match) => match[1] ?? "",
  );
  const groups = ["help", "container", "device", "image", "network", "node", "volume"];
  const commands = names.filter((name) => !groups.includes(name));
  assert.ok(commands.length >= COMMANDS.length - 5, out);
  const nested = [
    ["image", "import"],
    ["image", "ls"],
    ["image", "rm"],
    ["network", "ls"],
    ["network", "inspect"],
    ["network", "log"],
    ["network", "update"],
    ["network", "connect"],
    ["network", "disconnect"],
    ["network", "route", "ls"],
    ["network", "route", "set"],
    ...["create", "ls", "inspect", "resize", "rm", "prune"].map((name) => ["volume", name]),
    ...["add", "ls", "rm"].map((name) => ["device", name]),
    ["node", "ls"],
  ];
  for (const words of [...commands.map((name) => [name]), ...nested]) {
    const help = await cli(undefined, [...words, "--help"]);
    assert.equal(help.code, 0, words.join(" "));
    assert.match(help.out, /\nExamples:\n {2}\$ .*paddock /, words.join(" "));
  }
});

for (const { words, says } of [
  { words: ["ps", "-o", "yaml"], says: /"yaml" is not a format of output/ },
  { words: ["ps", "--api", "nowhere"], says: /"nowhere" is not an address/ },
  { words: ["ps", "--nonsense"], says: /unknown option '--nonsense'/ },
  { words: ["exec", "web"], says: /missing required argument 'command'/ },
  { words: ["exec", "web", "--"], says: /there is no command to run/ },
  { words: ["kill", "-s", "NOPE", "web"], says: /"NOPE" is not a signal/ },
  { words: ["stop", "a/b/c"], says: /names neither a sandbox nor a container/ },
  { words: ["run", "--cpus", "many", "tiny"], says: /"many" is not a number of CPUs/ },
  { words: ["run", "--memory", "big", "tiny"], says: /"big" is not a size/ },
  { words: ["run", "-d", "--rm", "tiny"], says: /--rm needs someone who waits/ },
  { words: ["run", "-it", "tiny"], says: /-t needs a terminal/ },
  { words: ["logs", "--tail", "x", "web"], says: /"x" is not a number of lines/ },
]) {
  test(`"${words.join(" ")}" is a usage error and exits with 2`, async () => {
    const { code, out, err } = await cli(undefined, words);
    assert.deepEqual({ code, out }, { code: 2, out: "" });
    assert.match(err, says);
  });
}

test("a missing api is reported at once, with a hint", async () => {
  const began = performance.now();
  const { code, err } = await cli({ address: "127.0.0.1:1" }, ["ps"]);
  assert.equal(code, 1);
  assert.match(
    err,
    /^error: cannot list the sandboxes: no answer from the api at 127\.0\.0\.1:1\nhint: .*paddock up/,
  );
  assert.ok(performance.now() - began < 3000);
});

test("an error shows what failed, why, each wrong field, a hint and the request id", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  api.unary(SandboxService.method.stopSandbox, () => {
    throw new PaddockError("INVALID_FIELD", "the request is not valid", {
      violations: [{ field: "grace", description: "must be at most 1 h" }],
      hint: "ask for less",
    });
  });
  const { code, err } = await cli(api, ["stop", "web"]);
  assert.equal(code, 1);
  assert.match(
    err,
    /^error: cannot stop sandbox web: the request is not valid\n {2}grace: must be at most 1 h\nhint: ask for less\nrequest id: cli-[0-9a-f]{24}\n$/,
  );
});

test("ps prints one row for each container, and an array as JSON", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web", ["main", "helper"])]);
  const table = await cli(api, ["ps"]);
  assert.match(
    table.out,
    /^SANDBOX +CONTAINER +IMAGE +CREATED +STATUS +PORTS +RESTARTS +VM +NODE +ISOLATION\n/,
  );
  assert.match(
    table.out,
    /\nweb +main +tiny:1 +.* ago +Up 2 minutes +- +0 +Up +host-1 +tcg \(no guarantee\)\nweb +helper /,
  );
  const json = JSON.parse((await cli(api, ["ps", "-o", "json"])).out);
  assert.equal(json[0].sandboxId, "web");
  assert.equal(json[0].status.state, "SANDBOX_STATE_RUNNING");
  assert.equal((await cli(api, ["-q", "ps"])).out, "web\n");
});

test("ps prints an empty array when there is no sandbox", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, []);
  assert.deepEqual(JSON.parse((await cli(api, ["--output", "json", "ps"])).out), []);
});

test("a sandbox name means its only container or main, and is ambiguous otherwise", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [
    fakeSandbox("one", ["solo"]),
    fakeSandbox("two", ["main", "side"]),
    fakeSandbox("odd", ["a", "b"]),
  ]);
  const asked: string[] = [];
  api.unary(ContainerService.method.killContainer, ({ sandboxId, containerId, signal, all }) => {
    asked.push(`${sandboxId}/${containerId} ${signal} ${all}`);
    return {};
  });
  assert.equal((await cli(api, ["kill", "one"])).code, 0);
  assert.equal((await cli(api, ["kill", "-s", "hup", "--all", "two"])).code, 0);
  assert.deepEqual(asked, ["one/solo KILL false", "two/main hup true"]);
  const { code, err } = await cli(api, ["kill", "odd"]);
  assert.equal(code, 1);
  assert.match(err, /has several containers\nhint: it has a, b: write odd\/a/);
});

test("a call is repeated with the same request id while the api is unavailable", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  const ids: string[] = [];
  api.unary(SandboxService.method.deleteSandbox, ({ requestId, force }) => {
    ids.push(requestId);
    assert.equal(force, true);
    if (ids.length < 3) throw new PaddockError("NODE_UNAVAILABLE", "the node does not answer");
    return {};
  });
  const { code, out } = await cli(api, ["rm", "-f", "web"]);
  assert.deepEqual({ code, out }, { code: 0, out: "web\n" });
  assert.equal(new Set(ids).size, 1);
});

test("the token of --token-file is sent, and a missing file is a usage error", async () => {
  await using directory = await temporaryDirectory();
  const file = join(directory.path, "token");
  await writeFile(file, "s3cret\n");
  await using api = await FakeApi.start();
  api.unary(SystemService.method.getVersion, () => ({
    version: "1.2.3",
    runtimeVersion: "v26",
    apiVersions: ["paddock.v1"],
  }));
  const { out } = await cli(api, ["version", "-o", "json", "--token-file", file]);
  assert.equal(JSON.parse(out).server.version, "1.2.3");
  assert.deepEqual(api.authorizations, ["Bearer s3cret"]);
  assert.equal((await cli(api, ["version", "--token-file", join(directory.path, "none")])).code, 2);
});

test("node ls shows allocation and capacity", async () => {
  await using api = await FakeApi.start();
  api.unary(NodeService.method.listNodes, () => ({
    nodes: [
      {
        nodeId: "host-1",
        state: NodeState.UP,
        cordoned: true,
        capacity: { milliCpus: 8000n, memoryBytes: 4n * 1024n ** 3n, diskBytes: 1024n ** 3n },
        allocated: { milliCpus: 1500n, memoryBytes: 1024n ** 3n },
        qemuVersion: "7.2.22",
      },
    ],
  }));
  const { out } = await cli(api, ["node", "ls"]);
  assert.match(
    out,
    /\nhost-1 +up, cordoned +0 +1\.5 \/ 8 +1\.00GiB \/ 4\.00GiB +0B \/ 1\.00GiB +- +7\.2\.22 +-\n$/,
  );
});

async function temporaryDirectory(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "paddock-cli-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
